/** Keeps the messages of one connection in their order while some of them wait for their screening. */
import type { Refusal, ScreenedMessage, Screening, Verdict } from './screening.ts'

type Waiting<Message> = { readonly message: Message; verdict: Verdict | null }

export class ScreeningOrder<Message extends ScreenedMessage> {
  readonly #screening: Screening
  readonly #decided: (message: Message, verdict: Verdict) => void
  /** From the first that is not decided on. */
  readonly #waiting: Waiting<Message>[] = []
  #isDeciding = false

  /** `decided` is called for each message in the order of {@link take}, at once where nothing waits. */
  constructor(screening: Screening, decided: (message: Message, verdict: Verdict) => void) {
    this.#screening = screening
    this.#decided = decided
  }

  take(message: Message): void {
    const verdict = this.#screening.screen(message)
    if (!(verdict instanceof Promise)) {
      if (this.#waiting.length === 0) this.#decided(message, verdict)
      else this.#waiting.push({ message, verdict })
      return
    }
    const waiting: Waiting<Message> = { message, verdict: null }
    this.#waiting.push(waiting)
    verdict.then(
      (decided) => this.#settle(waiting, decided),
      () => this.#settle(waiting, { verdict: 'refuse', code: 'internal' }),
    )
  }

  #settle(waiting: Waiting<Message>, verdict: Verdict): void {
    waiting.verdict = verdict
    if (!this.#isDeciding) void this.#decideReady()
  }

  /** Decides those whose turn has come, all that are ready by one look at their author. */
  async #decideReady(): Promise<void> {
    this.#isDeciding = true
    for (let ready = this.#countReady(); ready > 0; ready = this.#countReady()) {
      const refusal: Refusal | null = await this.#screening.judgeAuthor(this.#waiting[0]!.message.uid)
      for (const { message, verdict } of this.#waiting.splice(0, ready)) {
        this.#decided(message, refusal ?? verdict!)
      }
    }
    this.#isDeciding = false
  }

  #countReady(): number {
    const open = this.#waiting.findIndex(({ verdict }) => verdict === null)
    return open < 0 ? this.#waiting.length : open
  }
}
