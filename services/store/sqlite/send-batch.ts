/**
 * Sends on their way to the store thread: one string and one array of lengths for a whole batch, because a message
 * between threads costs far more per object than per byte.
 */
import { WochatError } from '../../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import type { SendJob } from '../contract.ts'

const FIELDS = 7

type Packed = { text: string; lengths: Uint32Array<ArrayBuffer> }

export class SendBatch {
  readonly jobs: SendJob[] = []

  get count(): number {
    return this.jobs.length
  }

  /**
   * All jobs but those that cannot be packed, which only a fault of ours makes: they are refused, so that they do not hold
   * up the others. `calls` keep their places among the sends. `refused`: how many jobs are gone.
   */
  pack(calls: readonly { before: number }[]): Packed & { refused: number } {
    try {
      return { ...packJobs(this.jobs), refused: 0 }
    } catch {
      const refused = this.#refuseUnpackable(calls)
      return { ...packJobs(this.jobs), refused }
    }
  }

  #refuseUnpackable(calls: readonly { before: number }[]): number {
    const { length } = this.jobs
    for (let i = length - 1; i >= 0; i--) {
      const cause = faultOf(this.jobs[i]!)
      if (cause === null) continue
      const [job] = this.jobs.splice(i, 1)
      for (const call of calls) if (call.before > i) call.before--
      job!.refused(new WochatError('internal', 'the send is not what a store takes', { cause }))
    }
    return length - this.jobs.length
  }
}

function packJobs(jobs: readonly SendJob[]): Packed {
  const lengths = new Uint32Array(jobs.length * FIELDS)
  let text = ''
  let at = 0
  for (const job of jobs) {
    const device = job.device ?? ''
    const id = job.id ?? ''
    const marks = job.marks === null ? '' : JSON.stringify(job.marks)
    text += job.uid + device + id + job.log + job.type + job.bodyJson + marks
    lengths[at++] = job.uid.length
    lengths[at++] = device.length
    lengths[at++] = id.length
    lengths[at++] = job.log.length
    lengths[at++] = job.type.length
    lengths[at++] = job.bodyJson.length
    lengths[at++] = marks.length
  }
  return { text, lengths }
}

/** Why a job cannot be packed; null when it can. */
function faultOf(job: SendJob): unknown {
  try {
    packJobs([job])
    return null
  } catch (error) {
    return error
  }
}

export type PackedSend = {
  uid: UserId
  device: DeviceId | null
  id: string | null
  log: LogId
  type: string
  bodyJson: string
  marks: SendMarks | null
}

/** The sends of a packed batch, in their order. */
export function readSends(text: string, lengths: Uint32Array): PackedSend[] {
  const sends: PackedSend[] = []
  let at = 0
  let field = 0
  const take = (): string => {
    const from = at
    at += lengths[field++]!
    return text.slice(from, at)
  }
  while (field < lengths.length) {
    const uid = take() as UserId
    const device = take() as DeviceId
    const id = take()
    sends.push({
      uid,
      device: device === '' ? null : device,
      id: id === '' ? null : id,
      log: take() as LogId,
      type: take(),
      bodyJson: take(),
      marks: parseMarks(take()),
    })
  }
  return sends
}

function parseMarks(text: string): SendMarks | null {
  return text === '' ? null : (JSON.parse(text) as SendMarks)
}
