// What the viewer is tied to: a widget's model in a notebook, or nothing but its own state in a page.

// How long Python may take before the viewer says that it waits for it, ms.
const PATIENCE = 6000;

export class NotebookLink {
  // `model` is an anywidget model.
  constructor(model) {
    this.model = model;
    this.canAsk = true;
    this.alive = false; // until Python answered once
    this.heard = 0;
    this.prefix = Math.random().toString(36).slice(2);
    this.count = 0;
    this.waiting = new Map();
    this.listeners = [];
    this.#listen("msg:custom", (content, buffers) => this.#receive(content, buffers ?? []));
    // A restored notebook has the data, but maybe nobody to talk to.
    this.ready = this.ask({ ask: "hello" }, PATIENCE).catch(() => {});
  }

  get people() {
    return this.model.get("_people");
  }

  block() {
    const data = this.model.get("_head");
    return data && data.byteLength ? data : null;
  }

  // The motion to play, a block of bytes.
  motion() {
    const data = this.model.get("_motion");
    return data && data.byteLength ? data : null;
  }

  get(name) {
    return this.model.get(name);
  }

  // Changes the trait in the page: linked widgets follow at once, Python hears with the next save().
  set(name, value) {
    this.model.set(name, value);
  }

  save() {
    try {
      this.model.save_changes();
    } catch (error) {
      this.alive = false;
      console.info("facekit: no kernel to tell", error);
    }
  }

  on(name, callback) {
    this.#listen(`change:${name}`, callback);
  }

  onBlock(callback) {
    // Either tells: what bytes are equal is left to the notebook's widget manager.
    this.#listen("change:_head", callback);
    this.#listen("change:_shown", callback);
  }

  // Asks Python; the promise is rejected where there is nobody, or after `limit` ms.
  ask(message, limit = 120000) {
    const id = `${this.prefix}-${++this.count}`;
    const heard = this.heard;
    return new Promise((resolve, reject) => {
      const give = (settle) => (value) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        settle(value);
      };
      const timer = setTimeout(() => {
        if (this.heard === heard) this.alive = false; // nothing at all since then
        give(reject)(new Error("Python did not answer."));
      }, limit);
      this.waiting.set(id, { resolve: give(resolve), reject: give(reject) });
      try {
        this.model.send({ ...message, id });
      } catch (error) {
        this.alive = false;
        give(reject)(error);
      }
    });
  }

  #receive(content, buffers) {
    const waiting = this.waiting.get(content.id);
    this.alive = true;
    this.heard += 1;
    if (!waiting) return;
    if (content.answer === "problem") waiting.reject(new Error(content.message));
    else waiting.resolve({ ...content, data: buffers[0] ?? null });
  }

  #listen(event, callback) {
    this.model.on(event, callback);
    this.listeners.push([event, callback]);
  }

  close() {
    for (const [event, callback] of this.listeners) this.model.off(event, callback);
    for (const { reject } of [...this.waiting.values()]) reject(new Error("closed"));
  }
}

export class PageLink {
  constructor(state, block, clip = null) {
    this.state = state;
    this.data = block;
    this.clip = clip;
    this.canAsk = false;
    this.alive = false;
    this.people = false;
    this.ready = Promise.resolve();
  }

  block() {
    return this.data;
  }

  motion() {
    return this.clip;
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    this.state[name] = value;
  }

  save() {}

  on() {}

  onBlock() {}

  close() {}
}

export { PATIENCE };
