// The checks of one script: a line for each, and the count that ./test adds up.

export class Tally {
  #name;
  #passed = 0;
  #failed = 0;

  constructor(name) {
    this.#name = name;
  }

  /** Passes when both are the same as JSON. */
  check(name, actual, expected) {
    const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (a === e) {
      this.#passed += 1;
      console.log(`ok    ${name}`);
    } else {
      this.#failed += 1;
      console.log(`FAIL  ${name}: expected ${e}, got ${a}`);
    }
  }

  /** Passes when the fields that are expected are the same; others may be there. */
  matches(name, actual, expected) {
    const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, actual?.[key]]));
    this.check(name, seen, expected);
  }

  /** Runs a part; what it throws is one failure, and the parts after it still run. */
  async part(name, run) {
    try {
      return await run();
    } catch (error) {
      this.#failed += 1;
      console.log(`FAIL  ${name} does not come to its end:\n${error.stack ?? error}`);
      return undefined;
    }
  }

  /** Tells the count and ends: a client may leave a timer behind that nobody wants to wait for. */
  finish() {
    console.log(`${this.#name}: ${this.#passed} passed, ${this.#failed} failed`);
    process.exit(this.#failed ? 1 : 0);
  }
}

/** Asks again and again until the answer is not undefined, for half a minute. */
export async function until(what, ask) {
  const end = Date.now() + 30_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}
