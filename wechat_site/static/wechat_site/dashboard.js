// Draws the charts of the dashboard with the theme's Chart.js, from the JSON beside each canvas, and
// again when that or the theme's colours change.
"use strict";

(() => {
    const charts = new Map();
    const COLOURS = {
        light: { new: "#16a34a", left: "#dc2626", net: "#1f2937", text: "#4b5563", grid: "#e5e7eb" },
        dark: { new: "#4ade80", left: "#f87171", net: "#f3f4f6", text: "#d1d5db", grid: "#374151" },
    };

    function colours() {
        return COLOURS[document.documentElement.classList.contains("dark") ? "dark" : "light"];
    }

    function configuration(data) {
        const { words } = data;
        const of = colours();
        const title = (text) => ({ display: true, text, color: of.text });
        const ticks = { color: of.text, maxRotation: 0, autoSkip: true };
        return {
            data: {
                labels: data.labels,
                datasets: [
                    { type: "line", label: words.net, data: data.net, borderColor: of.net,
                      backgroundColor: of.net, borderWidth: 2, pointRadius: 2 },
                    { type: "bar", label: words.new, data: data.new, backgroundColor: of.new,
                      stack: "people" },
                    { type: "bar", label: words.left, data: data.left, backgroundColor: of.left,
                      stack: "people" },
                ],
            },
            options: {
                animation: false,
                responsive: true,
                maintainAspectRatio: false,
                interaction: { mode: "index", intersect: false },
                scales: {
                    x: { stacked: true, title: title(words.x), ticks, grid: { display: false } },
                    y: {
                        stacked: true,
                        title: title(words.y),
                        grid: { color: of.grid },
                        // People who left are drawn downwards, and are no negative people.
                        ticks: { ...ticks, precision: 0, callback: (value) => Math.abs(value) },
                    },
                },
                plugins: {
                    legend: { position: "bottom", labels: { color: of.text } },
                    tooltip: {
                        callbacks: {
                            label: ({ dataset, raw }) =>
                                `${dataset.label}: ${dataset.type === "bar" ? Math.abs(raw) : raw}`,
                        },
                    },
                },
            },
        };
    }

    function draw(redraws) {
        for (const [canvas, { chart }] of charts) {
            if (!canvas.isConnected) {
                chart.destroy();
                charts.delete(canvas);
            }
        }
        for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
            const text = document.getElementById(canvas.dataset.chart).textContent;
            const drawn = charts.get(canvas);
            if (drawn && drawn.text === text && !redraws) continue;
            const { data, options } = configuration(JSON.parse(text));
            if (drawn) {
                Object.assign(drawn.chart, { options });
                drawn.chart.data = data;
                drawn.chart.update();
                drawn.text = text;
            } else {
                charts.set(canvas, { text, chart: new Chart(canvas, { data, options }) });
            }
        }
    }

    document.addEventListener("DOMContentLoaded", () => {
        draw(false);
        document.addEventListener("refreshed", () => draw(false));
        new MutationObserver(() => draw(true)).observe(document.documentElement, {
            attributeFilter: ["class"],
        });
    });
})();
