// SPDX-License-Identifier: MIT
"use strict";

// ---- data: see cmd/atlas.c ----

const data = JSON.parse(document.getElementById("data").textContent);
const { places, options, states, rules, outcomes, rows } = data;
const systems = new Map(data.systems.map(system => [system.name, system]));
const ADDRESSES = places.length, SOCKETS = places.length * options.length, VIEWS = states.length * 2 + 2;

const protocols = ["tcp", "udp"], users = ["same", "other"];
const stateWords = {
	bound: "bound", listening: "listening", connected: "listening, with a connection",
	closed: "closed, its connection not", timewait: "closed, in TIME_WAIT",
};
const stateSentences = {
	bound: "is bound to", listening: "listens on", connected: "listens on and has accepted a connection on",
	closed: "was a listener, closed since, whose accepted connection is still open, on",
	timewait: "was a listener, closed as its accepted connection was, on",
};
const tierWords = {
	measured: "answers of the real system were recorded, and the tests compare with them",
	source: "its source code or its own tests were read",
	documented: "only its documentation was read",
};
const familyWords = {
	bsd: "BSD, macOS", linux: "Linux", windows: "Windows", illumos: "illumos", lwip: "lwIP", starry: "ArceOS, Starry",
	gvisor: "gVisor", fuchsia: "Fuchsia", zephyr: "Zephyr", nuttx: "NuttX",
};
const shortOptions = { none: "none", a: "addr", p: "port", ap: "both", x: "excl", lb: "lb" };

// ---- the view: what is asked of whom.  Its parts are those of the fragment, in this order. ----

const parts = {
	one: [...systems.keys()], other: [...systems.keys()], protocol: protocols, state: states, user: users,
	holderOptions: options.map(option => option[0]), holderPlace: places.map(place => place[0]),
	claimOptions: options.map(option => option[0]), claimPlace: places.map(place => place[0]),
};
const names = [...systems.keys()];
const view = {
	one: systems.has("linux-6.18") ? "linux-6.18" : names[0],
	other: systems.has("freebsd-14") ? "freebsd-14" : names[names.length - 1],
	protocol: "tcp", state: "listening", user: "same",
	holderOptions: "a", holderPlace: "w", claimOptions: "a", claimPlace: "l",
};

const fragment = () => "#" + Object.keys(parts).map(part => encodeURIComponent(view[part])).join("/");

function readFragment() {
	const words = location.hash.slice(1).split("/");
	Object.keys(parts).forEach((part, i) => {
		let word = "";
		try {
			word = decodeURIComponent(words[i] || "");
		} catch (error) {
			// A damaged link: what can be read of it counts.
		}
		if (parts[part].includes(word))
			view[part] = word;
	});
}

const optionsAt = code => options.findIndex(option => option[0] === code);
const placeAt = letter => places.findIndex(place => place[0] === letter);
const socketAt = (code, letter) => optionsAt(code) * ADDRESSES + placeAt(letter);

function viewNumber() {
	const state = view.protocol === "tcp" ? states.indexOf(view.state) : states.length;
	return state * 2 + users.indexOf(view.user);
}

// ---- verdicts ----

const outcomeNumber = (system, number, holder, claim) => rows[systems.get(system).rows[number * SOCKETS + holder]][claim];

// An option or a user that a system does not have is no reason to stop.
const isOptional = note => /^(set|uid) /.test(note[0]);

function readOutcome(notes) {
	const failed = notes.find(note => note[1] !== "ok" && !isOptional(note));
	const asides = notes.filter(note => note[1] !== "ok" && isOptional(note));
	if (!failed)
		return { word: "ok", kind: "ok", call: "", asides, reasons: notes.filter(note => note[1] === "ok") };
	const [call, socket] = failed[0].split(" ");
	if (socket !== "b")
		return { word: "n/a", kind: "none", call, asides, error: failed[1], step: failed[0], reasons: [failed] };
	return { word: failed[1], kind: failed[1] === "EADDRINUSE" ? "busy" : "error", call, asides, reasons: [failed] };
}

const verdicts = outcomes.map(readOutcome);
const signs = { ok: "✓", busy: "✕", error: "!", none: "–" };
const says = verdict => verdict.call === "listen" ? verdict.word + " at listen" : verdict.word;
const words = verdicts.map(says);

function pair(number, holder, claim) {
	return [view.one, view.other].map(system => outcomeNumber(system, number, holder, claim));
}

const differs = ([one, other]) => words[one] !== words[other];

function countDifferences(number, holderOptions, claimOptions) {
	let count = 0;
	for (let holder = 0; holder < ADDRESSES; holder++)
		for (let claim = 0; claim < ADDRESSES; claim++)
			count += differs(pair(number, holderOptions * ADDRESSES + holder, claimOptions * ADDRESSES + claim));
	return count;
}

// ---- the page ----

const at = id => document.getElementById(id);

function make(name, properties = {}, ...children) {
	const element = Object.assign(document.createElement(name), properties);
	element.append(...children);
	return element;
}

function verdictBadge(verdict, mark) {
	const badge = make("span", { className: "verdict " + verdict.kind });
	if (mark)
		badge.append(make("b", { textContent: mark }));
	badge.append(make("span", { textContent: signs[verdict.kind], ariaHidden: "true" }), make("span", { className: "word", textContent: says(verdict) }));
	return badge;
}

function addressLabel(place) {
	const [first, ...rest] = place[1].split("ffff:");
	const label = rest.length ? [first + "ffff:", make("wbr"), ...rest] : [first];
	if (place[2])
		label.push(make("small", { textContent: place[2] }));
	return label;
}

// A table of buttons: one of them can be reached by Tab, the others by the arrow keys.
function makeGrid(table, rowHeads, columnHeads, group, choose) {
	const head = make("thead"), body = make("tbody"), cells = [];
	head.append(make("tr", {}, make("td"), make("th", { scope: "colgroup", colSpan: columnHeads.length, className: "group", textContent: group[1] })));
	head.append(make("tr", {}, make("th", { scope: "col", className: "group", textContent: group[0] }),
		...columnHeads.map(label => make("th", { scope: "col" }, ...label))));
	rowHeads.forEach((label, row) => {
		const line = make("tr", {}, make("th", { scope: "row" }, ...label));
		cells.push(columnHeads.map((unused, column) => {
			const button = make("button", { type: "button", tabIndex: -1 });
			button.addEventListener("click", () => choose(row, column));
			line.append(make("td", {}, button));
			return button;
		}));
		body.append(line);
	});
	table.append(head, body);
	table.addEventListener("keydown", event => moveFocus(event, cells));
	return cells;
}

function moveFocus(event, cells) {
	const row = cells.findIndex(line => line.includes(document.activeElement));
	if (row < 0 || event.ctrlKey || event.altKey || event.metaKey)
		return;
	const column = cells[row].indexOf(document.activeElement), last = cells[row].length - 1;
	const to = {
		ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
		Home: [row, 0], End: [row, last],
	}[event.key];
	if (!to)
		return;
	event.preventDefault();
	if (cells[to[0]] && cells[to[0]][to[1]])
		focusCell(cells, cells[to[0]][to[1]]);
}

function reachable(cells, button) {
	cells.flat().forEach(each => { each.tabIndex = each === button ? 0 : -1; });
}

function focusCell(cells, button) {
	reachable(cells, button);
	button.focus();
}

function markCurrent(cells, row, column) {
	cells.flat().forEach(each => each.removeAttribute("aria-current"));
	cells[row][column].setAttribute("aria-current", "true");
	if (!cells.flat().includes(document.activeElement))
		reachable(cells, cells[row][column]);
}

const optionGrid = makeGrid(at("options"), options.map(option => [option[1].replaceAll("SO_", "").replace(" and ", ", ")]),
	options.map(option => [shortOptions[option[0]] || option[0]]), ["first socket ↓", "second socket →"],
	(row, column) => change({ holderOptions: options[row][0], claimOptions: options[column][0] }));

const addressGrid = makeGrid(at("addresses"), places.map(addressLabel), places.map(addressLabel), ["first socket ↓", "second socket binds →"],
	(row, column) => change({ holderPlace: places[row][0], claimPlace: places[column][0] }));

function showOptions(number) {
	optionGrid.forEach((line, row) => line.forEach((button, column) => {
		const count = countDifferences(number, row, column);
		button.textContent = count || "·";
		button.dataset.count = count;
		button.style.setProperty("--share", count / (ADDRESSES * ADDRESSES));
		button.ariaLabel = `${count} of ${ADDRESSES * ADDRESSES} differ; first socket ${options[row][1]}, second socket ${options[column][1]}`;
	}));
	markCurrent(optionGrid, optionsAt(view.holderOptions), optionsAt(view.claimOptions));
}

function showCell(button, numbers) {
	const [one, other] = numbers.map(number => verdicts[number]), unlike = differs(numbers);
	button.classList.toggle("differs", unlike);
	if (unlike)
		button.replaceChildren(verdictBadge(one, "A"), verdictBadge(other, "B"));
	else
		button.replaceChildren(verdictBadge(one));
	button.ariaLabel = unlike ? `they differ, ${view.one}: ${says(one)}, ${view.other}: ${says(other)}` : `both ${says(one)}`;
}

function showAddresses(number) {
	const holder = optionsAt(view.holderOptions) * ADDRESSES, claim = optionsAt(view.claimOptions) * ADDRESSES;
	addressGrid.forEach((line, row) => line.forEach((button, column) => showCell(button, pair(number, holder + row, claim + column))));
	markCurrent(addressGrid, placeAt(view.holderPlace), placeAt(view.claimPlace));
	at("addresses").caption.textContent =
		`Addresses: first socket with ${options[optionsAt(view.holderOptions)][1]}, second with ${options[optionsAt(view.claimOptions)][1]}`;
}

// ---- why ----

function addressWords(letter) {
	const place = places[placeAt(letter)];
	return place[2] ? `${place[1]} (${place[2]})` : place[1];
}

function sentence() {
	const owner = view.user === "other" ? "of another user " : "";
	const state = view.protocol === "tcp" ? view.state : "bound";
	return `The first socket, ${view.protocol.toUpperCase()} with ${options[optionsAt(view.holderOptions)][1]}, ${stateSentences[state]} `
		+ `${addressWords(view.holderPlace)}. A second socket ${owner}with ${options[optionsAt(view.claimOptions)][1]} `
		+ `binds ${addressWords(view.claimPlace)}, the same port.`;
}

function because(verdict, note) {
	const rule = rules[note[2]];
	const reason = rule && rule[1] ? rule[1] : "";
	if (verdict.kind === "none")
		return `There is no such first socket: “${verdict.step}” fails with ${verdict.error}` + (reason ? `, because ${reason}.` : ".");
	if (verdict.kind === "ok")
		return `${note[0].split(" ")[0]}() is allowed` + (reason ? `: ${reason}.` : ".");
	return `${verdict.call}() is refused` + (reason ? ` because ${reason}.` : ".");
}

function term(list, name, ...value) {
	list.append(make("dt", { textContent: name }), make("dd", {}, ...value));
}

function aside(note) {
	const words = note[0].split(" ");
	if (words[0] === "uid")
		return `It has no users to tell apart (${note[1]}).`;
	return `Without ${words[2]} on the ${words[1] === "a" ? "first" : "second"} socket: setting it fails with ${note[1]}.`;
}

function reasonCard(name, mark, verdict) {
	const system = systems.get(name), list = make("dl");
	const card = make("article", { className: "reason" },
		make("h3", {}, make("b", { className: "mark " + (mark === "A" ? "one" : "other"), textContent: mark }), name, verdictBadge(verdict)));
	verdict.reasons.forEach(note => {
		const rule = rules[note[2]];
		card.append(make("p", { className: "because", textContent: because(verdict, note) }));
		if (!rule)
			return;
		if (verdict.kind !== "ok" && rule[2])
			card.append(make("p", { className: "remedy", textContent: `It would be allowed if ${rule[2]}.` }));
		term(list, "Rule", make("span", { className: "rule", textContent: `${name}/${rule[0]}` }));
		if (rule[3])
			term(list, "From", rule[3]);
	});
	[...new Set(verdict.asides.map(aside))].forEach(text => card.append(make("p", { className: "aside", textContent: text })));
	term(list, "Evidence", make("span", { className: "tier", textContent: system.tier }), `: ${tierWords[system.tier]}`);
	term(list, "Sources", system.sources);
	card.append(list);
	return card;
}

// As cmd/grid.c writes it.
function socketLines(name, code, letter) {
	const place = places[placeAt(letter)], ipv6 = place[1].startsWith("[");
	const lines = [`socket ${name} ${view.protocol}${ipv6 ? 6 : 4}`];
	if (ipv6)
		lines.push(`set ${name} v6only ${place[2] ? 1 : 0}`);
	const wanted = { a: ["reuseaddr"], p: ["reuseport"], ap: ["reuseaddr", "reuseport"], x: ["exclusive"], lb: ["reuseport_lb"] };
	(wanted[code] || []).forEach(option => lines.push(`set ${name} ${option} 1`));
	lines.push(`bind ${name} ${place[1]}:P0`);
	return lines;
}

function connectionLines(state) {
	const ipv6 = "VL".includes(view.holderPlace);
	const lines = [`socket c tcp${ipv6 ? 6 : 4}`, `connect c ${ipv6 ? "[::1]" : "127.0.0.1"}:P0`, "accept a s"];
	if (state === "timewait")
		lines.push("close s", "close c");
	return state === "connected" ? lines : [...lines, "close a"];
}

function scenario() {
	const tcp = view.protocol === "tcp", state = tcp ? states.indexOf(view.state) : 0, other = view.user === "other";
	return [
		"scenario atlas",
		...(other ? ["uid 1001"] : []),
		...socketLines("a", view.holderOptions, view.holderPlace),
		...(state >= states.indexOf("listening") ? ["listen a"] : []),
		...(state >= states.indexOf("connected") ? connectionLines(states[state]) : []),
		...(other ? ["uid 1002"] : []),
		...socketLines("b", view.claimOptions, view.claimPlace),
		...(tcp ? ["listen b"] : []),
	].join("\n") + "\n";
}

function showWhy(number) {
	const numbers = pair(number, socketAt(view.holderOptions, view.holderPlace), socketAt(view.claimOptions, view.claimPlace));
	const [one, other] = numbers.map(each => verdicts[each]);
	at("sentence").textContent = sentence();
	at("why").replaceChildren(reasonCard(view.one, "A", one), reasonCard(view.other, "B", other));
	at("scenario").textContent = scenario();
	at("link").href = fragment();
	at("said").textContent = `${view.one}: ${says(one)}. ${because(one, one.reasons[0])} ${view.other}: ${says(other)}. ${because(other, other.reasons[0])}`;
}

// ---- what differs where ----

function isDifference(question) {
	const claim = question % SOCKETS, holder = Math.floor(question / SOCKETS) % SOCKETS;
	return differs(pair(Math.floor(question / SOCKETS / SOCKETS), holder, claim));
}

function nextDifference() {
	const total = VIEWS * SOCKETS * SOCKETS;
	const here = (viewNumber() * SOCKETS + socketAt(view.holderOptions, view.holderPlace)) * SOCKETS + socketAt(view.claimOptions, view.claimPlace);
	for (let step = 1; step <= total; step++)
		if (isDifference((here + step) % total))
			return (here + step) % total;
	return here;
}

function goTo(question) {
	const claim = question % SOCKETS, holder = Math.floor(question / SOCKETS) % SOCKETS, number = Math.floor(question / SOCKETS / SOCKETS);
	const tcp = number < states.length * 2;
	change({
		protocol: tcp ? "tcp" : "udp", state: tcp ? states[number >> 1] : view.state, user: users[number & 1],
		holderOptions: options[Math.floor(holder / ADDRESSES)][0], holderPlace: places[holder % ADDRESSES][0],
		claimOptions: options[Math.floor(claim / ADDRESSES)][0], claimPlace: places[claim % ADDRESSES][0],
	});
}

function showTotal() {
	let count = 0;
	const total = VIEWS * SOCKETS * SOCKETS;
	for (let question = 0; question < total; question++)
		count += isDifference(question);
	at("total").textContent = count
		? `${view.one} and ${view.other} differ in ${count.toLocaleString("en")} of ${total.toLocaleString("en")} questions`
		: `${view.one} and ${view.other} never differ here`;
	at("next").disabled = !count;
}

// ---- choosing ----

function makeSelect(id) {
	const select = at(id);
	const families = [...new Set(data.systems.map(system => system.family))].sort();
	const inOrder = new Intl.Collator("en", { numeric: true }).compare;
	families.forEach(family => {
		const group = make("optgroup", { label: familyWords[family] || family });
		names.filter(name => systems.get(name).family === family).sort(inOrder)
			.forEach(name => group.append(make("option", { value: name, textContent: name })));
		select.append(group);
	});
	select.addEventListener("change", () => change({ [id]: select.value }));
}

function makeChoice(id, labels) {
	const segments = make("div", { className: "segments" });
	parts[id].forEach(word => {
		const input = make("input", { type: "radio", name: id, value: word });
		input.addEventListener("change", () => change({ [id]: word }));
		segments.append(make("label", {}, input, make("span", { textContent: labels[word] })));
	});
	at(id).append(segments);
}

let compared = "";

function show() {
	const number = viewNumber();
	["one", "other"].forEach(id => {
		const system = systems.get(view[id]);
		at(id).value = view[id];
		at(id + "-title").textContent = `${system.title} · ${system.tier}`;
	});
	["protocol", "state", "user"].forEach(id => at(id).querySelectorAll("input").forEach(input => {
		input.checked = input.value === view[id];
		input.disabled = id === "state" && view.protocol === "udp";
	}));
	showOptions(number);
	showAddresses(number);
	showWhy(number);
	if (compared !== view.one + " " + view.other) {
		compared = view.one + " " + view.other;
		showTotal();
	}
	document.title = `${view.one} and ${view.other} – fakebind atlas`;
}

function change(what) {
	Object.assign(view, what);
	history.replaceState(null, "", fragment());
	show();
}

// ---- light and dark ----

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
const showTheme = () => at("theme").setAttribute("aria-pressed", isDark());

function remember(theme) {
	try {
		localStorage.setItem("fakebind-atlas-theme", theme);
	} catch (error) {
		// A browser that keeps nothing for a file.
	}
}

function remembered() {
	try {
		return localStorage.getItem("fakebind-atlas-theme");
	} catch (error) {
		return null;
	}
}

function startTheme() {
	const theme = remembered();
	if (theme === "dark" || theme === "light")
		document.documentElement.dataset.theme = theme;
	at("theme").addEventListener("click", () => {
		const wanted = isDark() ? "light" : "dark";
		document.documentElement.dataset.theme = wanted;
		remember(wanted);
		showTheme();
	});
	prefersDark.addEventListener("change", showTheme);
	showTheme();
}

startTheme();
makeSelect("one");
makeSelect("other");
makeChoice("protocol", { tcp: "TCP", udp: "UDP" });
makeChoice("state", stateWords);
makeChoice("user", { same: "the same user", other: "another user" });
at("swap").addEventListener("click", () => change({ one: view.other, other: view.one }));
at("next").addEventListener("click", () => goTo(nextDifference()));
document.querySelector("[data-skip]").addEventListener("click", event => {
	event.preventDefault();
	addressGrid.flat().find(button => button.tabIndex === 0).focus();
});
addEventListener("hashchange", () => {
	readFragment();
	show();
});
at("made").textContent = `fakebind ${data.version}: ${systems.size} systems, `
	+ `${(systems.size * VIEWS * SOCKETS * SOCKETS).toLocaleString("en")} answers, all worked out by the rules that programs run under. `
	+ "Both sockets are root's, or those of two other users.";
readFragment();
show();
