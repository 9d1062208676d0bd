// What the admin's theme leaves out: names of icons are no words to read aloud, and a link that opens
// something is reached and pressed by keyboard like a button.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    function mend(part) {
        for (const icon of part.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
            icon.setAttribute("aria-hidden", "true");
        }
        for (const link of part.querySelectorAll("a:not([href]):not([role])")) {
            if (![...link.attributes].some(({ name }) => /^(x-on:|@)click/.test(name))) continue;
            link.setAttribute("role", "button");
            link.tabIndex = 0;
            link.addEventListener("keydown", (event) => {
                if (event.key !== "Enter" && event.key !== " ") return;
                event.preventDefault();
                link.click();
            });
        }
    }

    mend(document);
    new MutationObserver((changes) => {
        for (const { target } of changes) mend(target);
    }).observe(document.body, { childList: true, subtree: true });
});
