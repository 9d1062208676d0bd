// A second click on the button does not send a form twice: what it makes could not be deleted at
// WeChat.
"use strict";

(() => {
    const forms = "#qrscene_form, .qr-list";

    document.addEventListener("submit", (event) => {
        if (!event.target.matches(forms)) return;
        if ("isSent" in event.target.dataset) event.preventDefault();
        event.target.dataset.isSent = "";
    });

    // Back from the next page, the form may be sent again.
    window.addEventListener("pageshow", () => {
        document.querySelectorAll(forms).forEach((form) => delete form.dataset.isSent);
    });
})();
