/** Settings that nobody may see. */
import { inspect } from 'node:util'

/** A value that never shows itself: every way of printing it says `[redacted]`, only {@link reveal} gives it. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}
