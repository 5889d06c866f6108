/**
 * Answers to a connection's PUBLISHes, given in the order in which those came [MQTT-4.6.0-2].
 *
 * Sends, calls and plain messages are decided at different times. Each takes its place in the queue when it
 * arrives; what is decided early waits for those before it.
 */
import type { ProtocolVersion } from './codec/constants.ts'
import { encodePuback, encodePubrec } from './codec/encode.ts'
import type { Outbox } from './outbox.ts'

export class Answer {
  readonly packetId: number
  readonly qos: 0 | 1 | 2
  isDecided = false
  /** MQTT 5 reason; 0 is success. */
  reason = 0
  reasonString: string | null = null
  /** No answer: the connection closes here, so that the client sends again. */
  cuts = false
  next: Answer | null = null

  constructor(packetId: number, qos: 0 | 1 | 2) {
    this.packetId = packetId
    this.qos = qos
  }
}

export class Answers {
  readonly #version: ProtocolVersion
  readonly #outbox: Outbox
  readonly #cut: () => void
  #head: Answer | null = null
  #tail: Answer | null = null
  /** PUBLISHes that are not answered yet. */
  waiting = 0

  constructor(version: ProtocolVersion, outbox: Outbox, cut: () => void) {
    this.#version = version
    this.#outbox = outbox
    this.#cut = cut
  }

  push(answer: Answer): void {
    this.waiting++
    if (this.#tail === null) this.#head = answer
    else this.#tail.next = answer
    this.#tail = answer
  }

  /** An answer was decided: sends it, and those behind it that waited for it. */
  decided(answer: Answer): void {
    answer.isDecided = true
    while (this.#head?.isDecided === true) {
      const head = this.#head
      this.#head = head.next
      if (this.#head === null) this.#tail = null
      this.waiting--
      if (head.cuts) {
        this.#cut()
        return
      }
      this.#send(head)
    }
  }

  #send({ packetId, qos, reason, reasonString }: Answer): void {
    if (qos === 0) return
    if (qos === 1 && reason === 0) {
      this.#outbox.puback(packetId)
      return
    }
    const encode = qos === 1 ? encodePuback : encodePubrec
    this.#outbox.raw(
      encode(this.#version, packetId, reason, reasonString === null ? undefined : { reasonString }),
    )
  }
}
