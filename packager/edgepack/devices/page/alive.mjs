// Says every second that the page lives, from a thread of its own: the page's own waits while a model is computed.
setInterval(() => fetch("alive", { method: "POST" }).catch(() => close()), 1000);
