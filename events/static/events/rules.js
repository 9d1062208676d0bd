// Reply rules: dragging in the list, and answers that come and go in the editor. Without this
// script both work too: arrows move a rule, and all places for answers are shown.

const order = document.querySelector("[data-rules-order]");
if (order) startList(order);
const editor = document.querySelector("[data-rules-editor]");
if (editor) editor.querySelectorAll("fieldset").forEach(startAnswers);

function startList(form) {
    if (!form.querySelector("button[name=move]")) return;
    const rows = () => [...form.querySelectorAll("[data-rule]")];
    let dragged = null;
    for (const row of rows()) {
        const handle = document.createElement("span");
        handle.className = "rules-handle";
        handle.textContent = "⠿";
        handle.setAttribute("aria-hidden", "true");
        row.querySelector(".rules-order").prepend(handle);
        handle.addEventListener("pointerdown", () => (row.draggable = true));
        row.addEventListener("dragstart", (event) => {
            dragged = row;
            row.classList.add("is-dragged");
            event.dataTransfer.effectAllowed = "move";
        });
        row.addEventListener("dragend", () => {
            row.draggable = false;
            row.classList.remove("is-dragged");
            unmark();
            dragged = null;
        });
        row.addEventListener("dragover", (event) => {
            if (!dragged || dragged === row) return;
            event.preventDefault();
            unmark();
            row.classList.add(isUpperHalf(row, event) ? "is-before" : "is-after");
        });
        row.addEventListener("drop", (event) => {
            if (!dragged || dragged === row) return;
            event.preventDefault();
            if (isUpperHalf(row, event)) row.before(dragged);
            else row.after(dragged);
            form.submit();
        });
    }
    // The page comes anew after a move: the arrow that was pressed has the focus again.
    const moved = sessionStorage.getItem("rules-moved");
    sessionStorage.removeItem("rules-moved");
    if (moved) {
        const buttons = [...form.querySelectorAll("button[name=move]")];
        const [pk] = moved.split(":");
        const same = buttons.find((button) => button.value === moved && !button.disabled);
        const other = buttons.find((button) => button.value.startsWith(`${pk}:`) && !button.disabled);
        const focus = () => setTimeout(() => (same ?? other)?.focus());
        // Going to the address's fragment takes the focus away, as late as the load.
        if (document.readyState === "complete") focus();
        else window.addEventListener("load", focus);
    }
    form.addEventListener("submit", (event) => {
        if (event.submitter) sessionStorage.setItem("rules-moved", event.submitter.value);
    });

    function unmark() {
        for (const row of rows()) row.classList.remove("is-before", "is-after");
    }

    function isUpperHalf(row, event) {
        const box = row.getBoundingClientRect();
        return event.clientY < box.top + box.height / 2;
    }
}

function startAnswers(part) {
    const add = part.querySelector("[data-add]");
    if (!add) return;
    const all = () => [...part.querySelectorAll("[data-one]")];
    const kind = (one) => one.querySelector('[data-field="kind"]');
    const fields = (one) => [...one.querySelectorAll("[data-field]")];
    const prefix = kind(all()[0]).name.replace(/\d+-kind$/, "");
    const added = new Set();
    const isShown = (one) => kind(one).value !== "" || added.has(one) || one.querySelector(".menu-field ul li");

    function show() {
        all().forEach((one, at) => {
            for (const input of fields(one)) {
                input.name = `${prefix}${at}-${input.dataset.field}`;
                input.id = `id_${input.name}`;
                input.closest(".menu-field").querySelector("label").htmlFor = input.id;
            }
            one.hidden = !isShown(one);
            one.setAttribute("aria-label", at + 1);
        });
        const shown = all().filter(isShown);
        shown.forEach((one, at) => {
            one.querySelector('[data-move="-1"]').disabled = at === 0;
            one.querySelector('[data-move="1"]').disabled = at === shown.length - 1;
        });
        add.hidden = shown.length === all().length;
    }

    part.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        const one = button.closest("[data-one]");
        if (button === add) {
            const next = all().find((candidate) => !isShown(candidate));
            added.add(next);
            all().filter(isShown).at(-1).after(next);
            show();
            kind(next).focus();
            return;
        }
        if (button.matches("[data-move]")) {
            const shown = all().filter(isShown);
            const other = shown[shown.indexOf(one) + Number(button.dataset.move)];
            if (button.dataset.move === "-1") other.before(one);
            else other.after(one);
            show();
            (button.disabled ? one.querySelector("[data-tools] button:not(:disabled)") : button).focus();
        } else if (button.matches("[data-clear]")) {
            added.delete(one);
            for (const input of fields(one)) {
                if (input.dataset.field === "delay") continue;
                input.value = "";
                // The file shown beside a list goes too.
                input.dispatchEvent(new Event("change", { bubbles: true }));
            }
            one.querySelectorAll(".menu-field ul").forEach((list) => list.remove());
            all().at(-1).after(one);
            show();
            (add.hidden ? kind(all()[0]) : add).focus();
        }
    });
    part.querySelectorAll("[data-tools]").forEach((tools) => (tools.hidden = false));
    if (prefix === "answers" && !all().some(isShown)) added.add(all()[0]);
    part.addEventListener("input", show);
    show();
}
