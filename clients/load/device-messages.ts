/** The messages of the modes that send to devices. */
import { readLines } from './fleet.ts'
import type { Options } from './options.ts'
import { buildMessage, type Message } from './payload.ts'
import { expandTemplate, namesPlaceholder } from './template.ts'

/** One per device: the target is the device; a topic that names `{p}` is its publisher's own, the device modulo `--pubs`. */
export function buildDeviceMessages(options: Options, devices: number): Message[] {
  const targets = options.targetsFile === '' ? [] : readLines(options.targetsFile)
  const byPublisher = namesPlaceholder(options.pubTopic, 'p')
  return Array.from({ length: devices }, (_, device) => {
    const publisher = device % options.pubs
    const numbers = { s: device, g: device, t: device, ...(byPublisher ? { p: publisher } : {}) }
    return buildMessage({
      version: options.v5 ? 5 : 4,
      qos: 1,
      run: options.run,
      topic: expandTemplate(options.pubTopic, numbers, options.pad),
      template: options.payload,
      target: device,
      to: targets[device % targets.length],
      pad: options.pad,
      bytes: options.bytes,
    })
  })
}
