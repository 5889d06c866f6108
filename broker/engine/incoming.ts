/** What one client publishes, with QoS 2 taken exactly once however often its packets come. */
import { WochatError } from '../../protocol/errors.ts'
import type { PlainStore } from '../../services/store/plain.ts'
import { ReasonCode } from '../gate/codec/constants.ts'
import { countLevels } from '../gate/codec/topic-filter.ts'
import type { Publication } from './packet.ts'
import { type Decided, type Router, TOPIC_LEVELS_MAX } from './router.ts'
import type { EngineSink } from './sink.ts'
import { mayUseTopic } from './topic-wall.ts'

/** `publishing`: who waits for the outcome. `received`: until the PUBREL. `releasing`: the PUBCOMP is on its way. */
type Receipt = { state: 'publishing' | 'received' | 'releasing'; waiting: Decided[] }

export class Incoming {
  readonly #clientId: string
  readonly #router: Router
  readonly #store: PlainStore
  readonly #sink: EngineSink
  readonly #receiptsMax: number
  /** Receipts outlive the connection. */
  readonly #isDurable: boolean
  /** Of the stored session. */
  #generation: number | null = null
  /** Half-open QoS 2 by packet id. */
  readonly #receipts = new Map<number, Receipt>()

  constructor(parts: {
    clientId: string
    router: Router
    store: PlainStore
    sink: EngineSink
    receiptsMax: number
    isDurable: boolean
  }) {
    this.#clientId = parts.clientId
    this.#router = parts.router
    this.#store = parts.store
    this.#sink = parts.sink
    this.#receiptsMax = parts.receiptsMax
    this.#isDurable = parts.isDurable
  }

  get halfOpen(): number {
    return this.#receipts.size
  }

  resume(packetIds: readonly number[], generation: number | null): void {
    this.#generation = generation
    for (const packetId of packetIds) this.#receipts.set(packetId, { state: 'received', waiting: [] })
  }

  publish(publication: Publication, packetId: number, decided: Decided): void {
    const { topic, qos } = publication
    if (countLevels(topic) > TOPIC_LEVELS_MAX || !mayUseTopic(this.#clientId, topic)) {
      decided(new WochatError('topic_denied'))
    } else if (qos === 2) this.#publishOnce(publication, packetId, decided)
    else this.#router.route(publication, this.#clientId, {}, decided)
  }

  #publishOnce(publication: Publication, packetId: number, decided: Decided): void {
    const known = this.#receipts.get(packetId)
    if (known?.state === 'publishing') known.waiting.push(decided)
    // The client has not seen the PUBREC [MQTT-4.3.3-10].
    else if (known !== undefined) decided(null)
    else if (this.#receipts.size >= this.#receiptsMax) decided(new WochatError('busy'))
    else this.#publishFirst(publication, packetId, decided)
  }

  #publishFirst(publication: Publication, packetId: number, decided: Decided): void {
    const receipt: Receipt = { state: 'publishing', waiting: [decided] }
    this.#receipts.set(packetId, receipt)
    const stored = this.#isDurable
      ? { clientId: this.#clientId, generation: this.#generation, packetId }
      : null
    this.#router.route(publication, this.#clientId, { receipt: stored }, (refusal) => {
      // A refused QoS 2 PUBLISH leaves its packet id free (section 4.3.3).
      if (refusal !== null) this.#receipts.delete(packetId)
      receipt.state = 'received'
      for (const tell of receipt.waiting.splice(0)) tell(refusal)
    })
  }

  pubrel(packetId: number): void {
    const receipt = this.#receipts.get(packetId)
    if (receipt === undefined || receipt.state === 'publishing') {
      this.#sink.pubcomp(packetId, ReasonCode.packetIdentifierNotFound)
      return
    }
    if (receipt.state === 'releasing') return
    receipt.state = 'releasing'
    if (!this.#isDurable) {
      this.#released(packetId)
      return
    }
    const stored = { clientId: this.#clientId, generation: this.#generation, packetId }
    this.#store.dropPlainReceipt(stored).then(
      (wasThere) => {
        // A PUBCOMP frees the id for the client, while the newer connection still takes it for the old message.
        if (wasThere) this.#released(packetId)
        else this.#sink.closed('takenOver')
      },
      () => this.#sink.closed('store'),
    )
  }

  #released(packetId: number): void {
    this.#receipts.delete(packetId)
    this.#sink.pubcomp(packetId, ReasonCode.success)
  }
}
