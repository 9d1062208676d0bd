// Says on the page that a passkey was not used, which django-allauth tells the console alone.
"use strict";

document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const error = document.querySelector(".passkey-error");
    document.querySelector("main").prepend(error);
    error.hidden = false;
});
