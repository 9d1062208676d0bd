// Counts the code's time down and asks how far it is; when that changes, its part of the page is
// fetched anew. The server answers when there is a change, or after a while without one; where it
// cannot wait it answers at once, and is asked again a moment later.
"use strict";

(() => {
    const EVERY = 1500;
    let section;

    async function ask() {
        const { progress, progressUrl } = section.dataset;
        if (!progressUrl) return;
        if (!document.hidden) {
            // Without cookies the server reads no session.
            const headers = { "If-None-Match": `"${progress}"`, Prefer: "wait" };
            const asked = Date.now();
            const response = await fetch(progressUrl, { credentials: "omit", headers, cache: "no-store" });
            if (response.status !== 304) await refresh();
            else if (Date.now() - asked > EVERY) return again(0);
        }
        again();
    }

    function again(after = EVERY) {
        setTimeout(() => ask().catch(() => again()), after);
    }

    async function refresh() {
        const headers = { Accept: "text/html", "X-Background": "1" };
        const response = await fetch(location.href, { headers });
        // After a sign-out the answer is the login page.
        if (!response.ok || response.redirected) return location.reload();
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.getElementById("my-wechat");
        const hadFocus = section.contains(document.activeElement);
        section.replaceWith(document.importNode(fresh, true));
        section = document.getElementById("my-wechat");
        if (hadFocus) section.focus();
        count();
        goOn();
    }

    // Where the person agreed on the phone, the page goes on by itself.
    function goOn() {
        section.querySelector("form[data-go-on]")?.submit();
    }

    function count() {
        const part = section.querySelector("[data-expires]");
        if (!part) return;
        const left = Math.max(0, Math.floor((Date.parse(part.dataset.expires) - Date.now()) / 1000));
        const shown = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
        part.textContent = part.dataset.text.replace("{left}", shown);
    }

    section = document.getElementById("my-wechat");
    count();
    goOn();
    setInterval(count, 1000);
    again();
})();
