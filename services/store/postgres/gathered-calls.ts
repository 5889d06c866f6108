/**
 * Calls of one kind that come at the same moment, as one statement: when a node dies, thousands of devices connect to
 * the others at once, and each would else pay for a transaction of its own.
 *
 * One statement runs at a time, and what comes meanwhile is the next one. It answers the plain cases and waits for
 * nobody's lock; every other call is run alone, as it would be without this.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { busy, type CallRunner, WAITING_CALLS_MAX } from './call-runner.ts'
import type { Work } from './work.ts'

/** Calls in one statement: few enough that it is over within some 100 ms. */
export const TOGETHER_MAX = 500

/** Null: this call has to be run alone. */
export type Answer<Result> = { result: Result } | null

/** Answers calls in their order, with statements that stand alone and do no harm when they are run again. */
export type Together<Input, Result> = (work: Work, inputs: readonly Input[]) => Promise<Answer<Result>[]>

type Waiting<Input, Result> = {
  input: Input
  resolve: (answer: Answer<Result>) => void
  reject: (error: unknown) => void
}

export class GatheredCalls<Input, Result> {
  readonly #calls: CallRunner
  readonly #together: Together<Input, Result>
  readonly #togetherMax: number
  readonly #waiting: Waiting<Input, Result>[] = []
  #running: Promise<void> | null = null

  constructor(calls: CallRunner, together: Together<Input, Result>, togetherMax: number) {
    this.#calls = calls
    this.#together = together
    this.#togetherMax = togetherMax
  }

  /** Rejects as {@link CallRunner.run} does. */
  answer(input: Input): Promise<Answer<Result>> {
    if (this.#waiting.length >= WAITING_CALLS_MAX) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ input, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Calls that wait for the statement before theirs. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Resolves when the calls that are here now are answered. */
  async drained(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    // The calls of one turn of the event loop belong together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) await this.#answerSome(this.#waiting.splice(0, this.#togetherMax))
    this.#running = null
  }

  async #answerSome(some: readonly Waiting<Input, Result>[]): Promise<void> {
    const inputs = some.map(({ input }) => input)
    try {
      const answers = await this.#calls.run('single', (work) => this.#together(work, inputs))
      for (const [i, { resolve }] of some.entries()) resolve(answers[i] ?? null)
    } catch (error) {
      for (const { resolve, reject } of some) {
        if (error instanceof WochatError) reject(error)
        // Perhaps one of them cannot be run at all: that one fails alone.
        else resolve(null)
      }
    }
  }
}
