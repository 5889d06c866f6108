/**
 * Sends on their way to the store thread: one string and one array of lengths for a whole batch, because a message
 * between threads costs far more per object than per byte.
 */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { SendJob } from '../contract.ts'

const FIELDS = 6

export class SendBatch {
  readonly jobs: SendJob[] = []

  get count(): number {
    return this.jobs.length
  }

  pack(): { text: string; lengths: Uint32Array<ArrayBuffer> } {
    const lengths = new Uint32Array(this.jobs.length * FIELDS)
    let text = ''
    let at = 0
    for (const job of this.jobs) {
      const device = job.device ?? ''
      const id = job.id ?? ''
      text += job.uid + device + id + job.log + job.type + job.bodyJson
      lengths[at++] = job.uid.length
      lengths[at++] = device.length
      lengths[at++] = id.length
      lengths[at++] = job.log.length
      lengths[at++] = job.type.length
      lengths[at++] = job.bodyJson.length
    }
    return { text, lengths }
  }
}

export class SendReader {
  readonly count: number
  readonly #text: string
  readonly #lengths: Uint32Array
  #field = 0
  #at = 0

  constructor(text: string, lengths: Uint32Array) {
    this.#text = text
    this.#lengths = lengths
    this.count = lengths.length / FIELDS
  }

  read() {
    const uid = this.#take() as UserId
    const device = this.#take() as DeviceId
    const id = this.#take()
    return {
      uid,
      device: device === '' ? null : device,
      id: id === '' ? null : id,
      log: this.#take() as LogId,
      type: this.#take(),
      bodyJson: this.#take(),
    }
  }

  #take(): string {
    const from = this.#at
    this.#at += this.#lengths[this.#field++] ?? 0
    return this.#text.slice(from, this.#at)
  }
}
