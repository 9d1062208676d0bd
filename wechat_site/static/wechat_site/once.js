// A second click on the button, or a second Ctrl+Enter, does not send a form twice: what it makes or
// says at WeChat could not be taken back.
"use strict";

(() => {
    const forms = "#qrscene_form, .qr-list, .inbox-write, .message-form";

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
