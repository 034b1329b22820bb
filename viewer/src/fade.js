// From one expression to another in a moment, not in a jump.

const LENGTH = 140; // ms
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Fade {
  constructor() {
    this.stop();
  }

  // Forgets what was shown: somebody else comes.
  stop() {
    this.from = this.shown = this.tracks = null;
  }

  get running() {
    return this.from !== null;
  }

  // [track, intensity, factor] of this moment for the [track, intensity] that are wanted.
  apply(wanted, now) {
    const tracks = wanted.map(([track]) => track);
    const same = this.tracks?.length === tracks.length && tracks.every((track, k) => track === this.tracks[k]);
    if (!same && this.tracks && !STILL.matches) {
      this.from = this.shown;
      this.start = now;
    }
    this.tracks = tracks;
    const share = this.from ? Math.min((now - this.start) / LENGTH, 1) : 1;
    const t = share * share * (3 - 2 * share);
    this.shown = wanted.map(([track, intensity]) => [track, intensity, t]);
    if (t < 1) this.shown.push(...this.from.map(([track, intensity, factor]) => [track, intensity, factor * (1 - t)]));
    else this.from = null;
    return this.shown;
  }
}
