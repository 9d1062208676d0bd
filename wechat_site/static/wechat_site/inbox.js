// The inbox: begins at the newest line and stays there, keeps drafts, sends with Ctrl+Enter.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const lines = document.getElementById("inbox-lines");
    const list = () => lines?.querySelector(".conversation");
    let isAtEnd = true;

    function showEnd() {
        if (isAtEnd && list()) list().scrollTop = list().scrollHeight;
    }

    if (lines) {
        showEnd();
        let top = 0;
        list().addEventListener("scroll", () => {
            const { scrollTop, clientHeight, scrollHeight } = list();
            const isNearEnd = scrollTop + clientHeight > scrollHeight - 40;
            // Only who scrolls up leaves the end; a picture that appears moves the end away.
            if (isNearEnd || scrollTop < top) isAtEnd = isNearEnd;
            top = scrollTop;
        });
        // Pictures have no height before; their loading does not bubble.
        lines.addEventListener("load", showEnd, true);
        lines.addEventListener("refreshed", () => {
            showEnd();
            const isClosed = lines.querySelector(".window")?.dataset.window === "closed";
            for (const send of document.querySelectorAll(".inbox-send, .inbox-file button")) {
                send.disabled = isClosed;
            }
        });
    }

    const form = document.querySelector(".inbox-write");
    const text = document.getElementById("inbox-text");
    if (!form || !text) return;
    const name = form.dataset.draft;
    const sent = `${name}-sent`;
    // Only the server knows that a text was taken: after a sign-in, or without a line, it was not.
    if (location.hash === "#taken") {
        if (sessionStorage.getItem(sent)) localStorage.removeItem(name);
        // Who comes back to this page has written something else.
        history.replaceState(null, "", location.pathname + location.search);
    }
    sessionStorage.removeItem(sent);
    if (!text.value) text.value = localStorage.getItem(name) ?? "";
    text.addEventListener("input", () => {
        if (text.value) localStorage.setItem(name, text.value);
        else localStorage.removeItem(name);
    });
    form.addEventListener("submit", () => sessionStorage.setItem(sent, "1"));
    text.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        const send = form.querySelector(".inbox-send");
        if (!send.disabled) form.requestSubmit(send);
    });
    document.getElementById("inbox-saved")?.addEventListener("change", (event) => {
        if (!event.target.value) return;
        text.value = text.value ? `${text.value}\n${event.target.value}` : event.target.value;
        event.target.value = "";
        text.dispatchEvent(new Event("input"));
        text.focus();
    });
});
