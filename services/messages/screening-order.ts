/** Keeps the messages of one connection in their order while some of them wait for their screening. */
import type { ScreenedMessage, Screening, Verdict } from './screening.ts'

type Waiting<Message> = { readonly message: Message; verdict: Verdict | null }

export class ScreeningOrder<Message extends ScreenedMessage> {
  readonly #screening: Screening
  readonly #decided: (message: Message, verdict: Verdict) => void
  /** From the first that is not decided on. */
  readonly #waiting: Waiting<Message>[] = []

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
    for (let first = this.#waiting[0]; first?.verdict != null; first = this.#waiting[0]) {
      this.#waiting.shift()
      this.#decided(first.message, first.verdict)
    }
  }
}
