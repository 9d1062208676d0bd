// Shows the file that is chosen in a list of the media library.
"use strict";
(() => {
    const show = (select) => {
        let beside = select.parentElement.querySelector("[data-media-shown]");
        if (!beside) {
            beside = document.createElement("span");
            beside.dataset.mediaShown = "";
            select.after(beside);
        }
        const number = /^library:(\d+)$/.exec(select.value);
        beside.replaceChildren();
        if (!number) return;
        const name = select.selectedOptions[0].textContent;
        const kind = select.selectedOptions[0].dataset.kind || "image";
        const shown = document.createElement(kind === "voice" ? "audio" : kind === "video" ? "video" : "img");
        shown.className = kind === "voice" ? "media-voice" : "media";
        shown.src = select.dataset.media.replace("/0/", `/${number[1]}/`);
        if (kind === "image") shown.alt = name;
        else {
            shown.controls = true;
            shown.preload = "none";
            if (kind === "video") shown.poster = select.selectedOptions[0].dataset.poster || select.dataset.plainPoster;
        }
        beside.append(shown);
    };
    const begin = () => document.querySelectorAll("select[data-media]").forEach(show);
    document.addEventListener("change", (event) => {
        if (event.target.matches?.("select[data-media]")) show(event.target);
    });
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
})();
