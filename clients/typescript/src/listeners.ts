// Functions to call, by name.

type Handler = (...told: never[]) => void;

export interface Listeners<K, H extends Handler> {
  /** Returns what takes the handler away again. */
  add(name: K, handler: H): () => void;
  /** Calls all of that name, whatever one of them throws, and returns how many there were. */
  tell(name: K, told: Parameters<H>, thrown: (error: unknown) => void): number;
}

export function listeners<K, H extends Handler>(): Listeners<K, H> {
  let all: { name: K; handler: H }[] = [];
  return {
    add(name, handler) {
      // An object each, so that a function may be given twice.
      const added = { name, handler };
      all.push(added);
      return () => {
        all = all.filter((each) => each !== added);
      };
    },
    tell(name, told, thrown) {
      const named = all.filter((each) => each.name === name);
      for (const { handler } of named) {
        try {
          handler(...told);
        } catch (error) {
          thrown(error);
        }
      }
      return named.length;
    },
  };
}
