// The stream of events. The browser comes back by itself after a cut, with the id of the
// last event; after a refusal it would not, so that is done here.

const REFUSED = 5000;

export function follow(onEvent, onLink) {
  let source = null;
  function open() {
    onLink("connecting");
    source = new EventSource("/v1/replication/events?history=true");
    source.onopen = () => onLink("live");
    source.onmessage = (e) => onEvent(JSON.parse(e.data));
    source.onerror = () => {
      onLink("away");
      if (source.readyState === EventSource.CLOSED) setTimeout(open, REFUSED);
    };
  }
  open();
  // A tab that nobody sees asks for nothing, and the shop samples nothing for it.
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => source.close(), 30_000);
    else if (source.readyState === EventSource.CLOSED) open();
  });
}
