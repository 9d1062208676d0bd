// Drafts of answers that inbox.js keeps are their writer's alone: on a computer that several use they go
// when the writer signs out, or when another user's page opens.
"use strict";

(() => {
    const mine = `inbox-${document.currentScript.dataset.user}-`;

    function forget(isToGo) {
        for (const name of Object.keys(localStorage)) {
            if (name.startsWith("inbox-") && isToGo(name)) localStorage.removeItem(name);
        }
    }

    forget((name) => !name.startsWith(mine));
    document.addEventListener("submit", (event) => {
        // A field may be called action, so the form is asked for the attribute.
        if (/\/logout\/$/.test(event.target.getAttribute("action"))) forget(() => true);
    });
})();
