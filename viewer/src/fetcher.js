// What is asked of Python: one request at a time, and always the one that is wanted now. So the last wish wins.
import { PATIENCE } from "./link.js";
import { expressionOf, keyOf, partsOf } from "./mix.js";

const FILE_LIMIT = 12000;

export class Fetcher {
  constructor(viewer) {
    this.viewer = viewer;
    this.link = viewer.link;
    this.refused = new Set();
    this.settled = true;
    this.busy = false;
    this.link.ready.then(() => this.wake());
  }

  // Whether the blend is being dragged: its own keyframes are asked for when it is let go.
  settle(settled) {
    this.settled = settled;
  }

  forget() {
    this.refused.clear();
  }

  // What is missing for the pose: expressions first, then the blend itself.
  next() {
    const { mix } = this.viewer.state;
    const { tracks, header } = this.viewer;
    const missing = mix.find(({ name }) => !tracks.has(name) && !this.refused.has(name));
    const key = keyOf(mix);
    if (tracks.has(key) || !header) return null;
    if (missing) return missing.name;
    const blend = partsOf(expressionOf(mix)).filter(({ weight }) => weight >= 0.0005);
    if (blend.length < 2 || !this.settled || !this.link.alive || this.refused.has(key)) return null;
    return expressionOf(blend);
  }

  async wake() {
    if (this.busy || !this.link.canAsk || this.viewer.closed) return;
    const expression = this.next();
    if (!expression && this.viewer.rigWanted && !this.viewer.rig && !this.refused.has("rig")) {
      await this.#rig();
      return;
    }
    if (!expression) return;
    this.busy = true;
    const key = keyOf(partsOf(expression));
    const { person } = this.viewer.header;
    const end = this.begin(
      typeof expression === "string" ? `Computing ${key.replaceAll("_", " ")} …` : this.viewer.words("Computing the blend …"),
    );
    try {
      const reply = await this.link.ask({ ask: "track", expression, person });
      end();
      if (this.viewer.closed) return;
      if (reply.answer === "track" && reply.person === this.viewer.header.person) this.viewer.take(reply.data);
    } catch (error) {
      end();
      if (this.viewer.closed) return;
      this.refused.add(key);
      this.viewer.say(error.message);
    }
    this.busy = false;
    this.wake();
  }

  async #rig() {
    this.busy = true;
    const { person } = this.viewer.header;
    const end = this.begin(this.viewer.words("Computing the 52 shapes …"));
    try {
      const reply = await this.link.ask({ ask: "rig", person });
      end();
      if (this.viewer.closed) return;
      if (reply.answer === "rig" && reply.person === this.viewer.header.person) this.viewer.take(reply.data);
    } catch (error) {
      end();
      if (this.viewer.closed) return;
      this.refused.add("rig");
      this.viewer.say(error.message);
    }
    this.busy = false;
    this.wake();
  }

  // Another person is on the way, in the widget's state; arrived() says when.
  person(seed) {
    this.ending?.();
    this.ending = this.begin(`Making face ${seed} …`);
  }

  arrived() {
    this.ending?.();
    this.ending = null;
  }

  async file(format, stem) {
    const { mix, intensity } = this.viewer.state;
    const end = this.begin(`Writing the ${format.toUpperCase()} …`);
    try {
      const reply = await this.link.ask(
        { ask: "file", format, stem, expression: expressionOf(mix), intensity, blendshapes: this.viewer.shapes() },
        FILE_LIMIT,
      );
      return reply.data;
    } catch (error) {
      console.info("facekit: the page writes the file itself", error);
      return null;
    } finally {
      end();
    }
  }

  // Shows that something is awaited; the function that it returns takes the mark away.
  begin(text) {
    const mark = (this.mark = {});
    this.viewer.say(text, true);
    const timer = setTimeout(() => {
      if (this.mark === mark) this.viewer.say(this.viewer.words("Python has not answered yet: busy, or shut down. The sliders work on."));
    }, PATIENCE);
    return () => {
      clearTimeout(timer);
      if (this.mark === mark) this.viewer.say("");
    };
  }

  close() {
    this.mark = null;
  }
}
