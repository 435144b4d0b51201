// Functions to call, by name.

type Handler = (...told: never[]) => void;

export class Listeners<K, H extends Handler> {
  #all: { name: K; handler: H }[] = [];

  /** Returns what takes the handler away again. */
  add(name: K, handler: H): () => void {
    // An object each, so that a function may be given twice.
    const added = { name, handler };
    this.#all.push(added);
    return () => {
      this.#all = this.#all.filter((each) => each !== added);
    };
  }

  /** Calls all of that name, whatever one of them throws, and returns how many there were. */
  tell(name: K, told: Parameters<H>, thrown: (error: unknown) => void): number {
    const named = this.#all.filter((each) => each.name === name);
    for (const { handler } of named) {
      try {
        handler(...told);
      } catch (error) {
        thrown(error);
      }
    }
    return named.length;
  }
}
