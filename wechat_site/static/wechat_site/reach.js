// What the admin's theme leaves out: names of icons are no words to read aloud, and a link that opens
// something is reached and pressed by keyboard like a button. A box that scrolls is no landmark: the
// theme makes them all regions with one English name. Cells without a value are marked: the
// cards of a narrow screen leave them out.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const heard = new WeakSet();

    function mend(part) {
        for (const icon of part.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
            icon.setAttribute("aria-hidden", "true");
        }
        for (const box of part.querySelectorAll(".simplebar-content-wrapper[role=region]")) {
            box.setAttribute("role", "group");
            box.removeAttribute("aria-label");
        }
        for (const cell of part.querySelectorAll("#result_list td")) {
            const says = cell.textContent.trim();
            const shows = cell.querySelector("input, img, video, audio, .material-symbols-outlined");
            cell.classList.toggle("is-empty", (says === "" || says === "–") && !shows);
        }
        for (const link of part.querySelectorAll("a:not([href]):not([role])")) {
            if (![...link.attributes].some(({ name }) => /^(x-on:|@)click/.test(name))) continue;
            link.setAttribute("role", "button");
            link.tabIndex = 0;
            if (heard.has(link)) continue;
            heard.add(link);
            link.addEventListener("keydown", (event) => {
                if (event.key !== "Enter" && event.key !== " ") return;
                event.preventDefault();
                link.click();
            });
        }
    }

    mend(document);
    // live.js takes away the attributes that the server does not send.
    document.addEventListener("refreshed", ({ target }) => mend(target));
    new MutationObserver((changes) => {
        for (const { target } of changes) mend(target);
    }).observe(document.body, { childList: true, subtree: true });
});
