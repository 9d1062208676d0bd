// Keeps the figures and the latest events fresh while the page is looked at.
"use strict";

(() => {
    const live = document.getElementById("dashboard-live");
    if (!live) return;

    async function refresh() {
        if (document.hidden) return;
        const response = await fetch(location.href, { headers: { Accept: "text/html" } });
        // After a sign-out the answer is the login page, somewhere else.
        if (!response.ok || response.redirected) return;
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.getElementById("dashboard-live");
        if (fresh) live.replaceChildren(...fresh.childNodes);
    }

    setInterval(() => refresh().catch(() => {}), Number(live.dataset.refreshSeconds) * 1000);
})();
