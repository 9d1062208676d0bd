// The menu's editor: the phone follows what is written, bytes are counted, entries move. Without
// this script the form works too, with all entries shown.

const editor = document.querySelector("[data-menu-editor]");
if (editor) start(editor);

function start(editor) {
    const encoder = new TextEncoder();
    const buttons = document.querySelector("[data-phone-buttons]");
    const title = document.querySelector("[data-phone-title]");
    const account = document.getElementById("id_account");
    const tops = () => [...editor.querySelectorAll(":scope > [data-top]")];
    const subs = (top) => [...top.querySelectorAll("[data-sub]")];
    const fields = (entry) => [
        ...(entry.querySelector(":scope > [data-fields]") ?? entry).querySelectorAll("[data-field]"),
    ];
    const field = (entry, name) => fields(entry).find((input) => input.dataset.field === name);
    const hasErrors = (entry) => entry.querySelector("[data-fields] ul li") !== null;
    // What was added and is still empty is shown; what is empty otherwise is not.
    const added = new Set();

    function isFilled(entry) {
        return Boolean(
            field(entry, "name").value.trim() ||
                field(entry, "type").value ||
                (entry.matches("[data-top]") && subs(entry).some(isFilled)),
        );
    }

    const isShown = (entry) => isFilled(entry) || added.has(entry) || hasErrors(entry);

    function renumber() {
        tops().forEach((top, at) => {
            rename(top, `button${at}`, at);
            subs(top).forEach((sub, below) => rename(sub, `button${at}-${below}`, below));
        });
    }

    function rename(entry, prefix, at) {
        entry.querySelector("[data-number]").textContent = at + 1;
        for (const input of fields(entry)) {
            input.name = `${prefix}-${input.dataset.field}`;
            input.id = `id_${input.name}`;
            input.closest(".menu-field").querySelector("label").htmlFor = input.id;
        }
    }

    function show() {
        const shownTops = tops().filter(isShown);
        for (const top of tops()) {
            const below = subs(top);
            const shownSubs = below.filter(isShown);
            top.hidden = !shownTops.includes(top);
            for (const sub of below) {
                sub.hidden = !shownSubs.includes(sub);
                sub.querySelector("[data-title]").textContent = field(sub, "name").value;
                limitTools(sub, shownSubs);
            }
            limitTools(top, shownTops);
            top.querySelector("[data-add-sub]").hidden =
                shownSubs.length === below.length ||
                (field(top, "type").value !== "" && shownSubs.length === 0);
        }
        editor.querySelector("[data-add-top]").hidden = shownTops.length === tops().length;
        for (const input of editor.querySelectorAll("[data-limit]")) count(input);
        draw();
    }

    function limitTools(entry, shown) {
        const at = shown.indexOf(entry);
        const tools = entry.querySelector(":scope > [data-tools]");
        tools.querySelector('[data-move="-1"]').disabled = at <= 0;
        tools.querySelector('[data-move="1"]').disabled = at === shown.length - 1;
    }

    function count(input) {
        const limit = Number(input.dataset.limit);
        const shown = input.closest(".menu-field").querySelector("[data-bytes]");
        if (!limit || !shown) return;
        const used = encoder.encode(input.value.trim()).length;
        shown.textContent = editor.dataset.bytesText
            .replace("{used}", used)
            .replace("{limit}", limit);
        shown.classList.toggle("is-over", used > limit);
    }

    function draw() {
        const open = [...buttons.children].findIndex((button) => button.open);
        const drawn = tops().filter(isFilled).map((top) => {
            const name = element("span", "phone-name", field(top, "name").value);
            const below = subs(top).filter(isFilled);
            if (below.length === 0) {
                const button = element("span", "phone-button");
                button.append(name);
                return button;
            }
            const button = element("details", "phone-button");
            button.name = "phone";
            const summary = element("summary");
            summary.append(name);
            const list = element("ul");
            list.append(...below.map((sub) => element("li", "", field(sub, "name").value)));
            button.append(summary, list);
            return button;
        });
        if (drawn.length === 0) {
            drawn.push(element("span", "phone-button phone-none", editor.dataset.emptyText));
        }
        if (drawn[open]?.localName === "details") drawn[open].open = true;
        buttons.replaceChildren(...drawn);
        if (account?.selectedOptions?.[0]?.value) {
            title.textContent = account.selectedOptions[0].textContent.trim();
        }
    }

    function element(name, className = "", text = "") {
        const made = document.createElement(name);
        made.className = className;
        made.textContent = text;
        return made;
    }

    function openInPreview(entry) {
        const top = entry.closest("[data-top]");
        const at = tops().filter(isFilled).indexOf(top);
        const button = buttons.children[at];
        if (button?.localName === "details") button.open = true;
    }

    function siblings(entry) {
        return entry.matches("[data-top]") ? tops() : subs(entry.closest("[data-top]"));
    }

    function move(entry, by) {
        const shown = siblings(entry).filter(isShown);
        const other = shown[shown.indexOf(entry) + by];
        if (!other) return;
        if (by < 0) other.before(entry);
        else other.after(entry);
    }

    function clear(entry) {
        const below = entry.matches("[data-top]") ? subs(entry) : [];
        for (const part of [entry, ...below]) {
            added.delete(part);
            for (const input of fields(part)) input.value = "";
            part.querySelectorAll(":scope > [data-fields] ul").forEach((list) => list.remove());
        }
        siblings(entry).at(-1).after(entry);
    }

    // Moving a node takes the focus from it, and a button that is hidden or disabled has none.
    function focusAfter(entry, pressed) {
        const above = entry.closest("[data-top]:not([hidden])") ?? editor;
        const next = entry.hidden
            ? (siblings(entry).findLast((other) => !other.hidden) ?? above)
            : entry;
        const wanted = [pressed, ...next.querySelectorAll(":scope > [data-tools] button")];
        wanted.push(...above.querySelectorAll(".menu-add"), ...editor.querySelectorAll(".menu-add"));
        wanted.find((button) => !button.disabled && button.checkVisibility())?.focus();
    }

    function add(candidates) {
        const next = candidates.find((entry) => !isShown(entry));
        if (!next) return;
        added.add(next);
        if (next.matches("details")) next.open = true;
        candidates.filter(isShown).at(-1)?.after(next);
        renumber();
        show();
        field(next, "name").focus();
    }

    editor.addEventListener("input", (event) => {
        show();
        openInPreview(event.target);
    });
    editor.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        const entry = button.closest("[data-sub], [data-top]");
        if (button.matches("[data-add-top]")) return add(tops());
        if (button.matches("[data-add-sub]")) return add(subs(entry));
        if (button.matches("[data-move]")) move(entry, Number(button.dataset.move));
        if (button.matches("[data-clear]")) clear(entry);
        renumber();
        show();
        if (entry) focusAfter(entry, button);
    });
    account?.addEventListener("change", draw);

    editor.querySelectorAll("[data-tools]").forEach((tools) => (tools.hidden = false));
    if (!tops().some(isShown)) added.add(tops()[0]);
    show();
}
