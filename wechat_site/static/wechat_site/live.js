// Asks the page anew for each part that says so, while the page is looked at: for as long as the
// part says so, so until what is waited for is there, or always.
"use strict";

(() => {
    async function refresh(part) {
        if (document.hidden) return part;
        // The server does not take this for somebody's use of the session.
        const headers = { Accept: "text/html", "X-Background": "1" };
        const response = await fetch(location.href, { headers });
        // After a sign-out the answer is the login page, somewhere else.
        if (!response.ok || response.redirected) return part;
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.getElementById(part.id);
        if (!fresh) return part;
        // Where other parts of the page, its buttons say, depend on this one.
        if (!fresh.dataset.refreshSeconds && "reloadAtEnd" in part.dataset) location.reload();
        part.replaceWith(fresh);
        return fresh;
    }

    function watch(part) {
        if (!part.dataset.refreshSeconds) return;
        setTimeout(
            () => refresh(part).catch(() => part).then(watch),
            Number(part.dataset.refreshSeconds) * 1000,
        );
    }

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll("[data-refresh-seconds][id]").forEach(watch);
    });
})();
