// Asks the page anew for each part that says so, while the page is looked at: for as long as the
// part says so, so until what is waited for is there, or always. Only what is different changes, so
// focus, scroll position, selection and opened details stay.
"use strict";

(() => {
    async function refresh(part) {
        if (document.hidden) return part;
        // The server does not take this for somebody's use of the session.
        const headers = { Accept: "text/html", "X-Background": "1" };
        if (part.dataset.etag) headers["If-None-Match"] = part.dataset.etag;
        // A part may have a small page of its own, which knows whether it has changed.
        const address = part.dataset.refreshUrl ?? location.href;
        const response = await fetch(address, { headers, cache: "no-store" });
        // After a sign-out the answer is the login page, somewhere else.
        if (!response.ok || response.redirected) return part;
        // Styles of the fresh page are not wanted, and the policy of this one would report them.
        const text = (await response.text()).replace(/<style[\s\S]*?<\/style>/g, "");
        const page = new DOMParser().parseFromString(text, "text/html");
        const fresh = page.getElementById(part.id);
        if (!fresh) return part;
        // Where other parts of the page, its buttons say, depend on this one.
        if (!fresh.dataset.refreshSeconds && "reloadAtEnd" in part.dataset) location.reload();
        update(part, document.importNode(fresh, true));
        const etag = part.dataset.refreshUrl && response.headers.get("ETag");
        if (etag) part.dataset.etag = etag;
        part.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
        return part;
    }

    // Makes a node like the fresh one. A script draws what has data-keep.
    function update(node, fresh) {
        if (node.isEqualNode(fresh)) return;
        if (node.nodeName !== fresh.nodeName) {
            node.replaceWith(fresh);
        } else if (node.nodeType !== Node.ELEMENT_NODE) {
            node.nodeValue = fresh.nodeValue;
        } else if (!("keep" in node.dataset)) {
            updateAttributes(node, fresh);
            updateChildren(node, fresh);
        }
    }

    function updateAttributes(node, fresh) {
        for (const { name, value } of fresh.attributes) {
            if (node.getAttribute(name) !== value) node.setAttribute(name, value);
        }
        for (const { name } of [...node.attributes]) {
            const isOfReader = name === "open" && node.nodeName === "DETAILS";
            if (!fresh.hasAttribute(name) && !isOfReader) node.removeAttribute(name);
        }
    }

    // Children with a data-key are known by it; all others by their place.
    function updateChildren(node, fresh) {
        const wanted = new Set([...fresh.children].map(keyOf));
        const known = new Map();
        for (const child of [...node.children]) {
            const key = keyOf(child);
            if (key && !wanted.has(key)) child.remove();
            else if (key) known.set(key, child);
        }
        let next = node.firstChild;
        for (const child of [...fresh.childNodes]) {
            const key = keyOf(child);
            const same = key ? known.get(key) : next && !keyOf(next) ? next : null;
            if (!same) {
                node.insertBefore(child, next);
                continue;
            }
            if (same === next) next = next.nextSibling;
            else node.insertBefore(same, next);
            update(same, child);
        }
        while (next) {
            const gone = next;
            next = next.nextSibling;
            gone.remove();
        }
    }

    function keyOf(node) {
        return node.dataset?.key;
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
