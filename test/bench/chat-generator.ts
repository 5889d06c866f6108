import fs from 'node:fs'
import path from 'node:path'
import type { Broker } from './broker.ts'
import type { ChatLoad } from './chat-load.ts'
import { Child } from './child.ts'
import type { GeneratorResult } from './generator.ts'

const ENTRY = path.join(import.meta.dirname, 'chat-load.ts')

let files = 0

/** Makes the calls of a chat from a process of its own, pinned to `core`. */
export async function callChat(
  load: ChatLoad,
  broker: Broker,
  core: number | undefined,
): Promise<GeneratorResult> {
  const file = path.join(broker.chat!.folder, `chat-load-${++files}.json`)
  fs.writeFileSync(file, JSON.stringify(load))
  await using child = new Child({ name: 'chat load', command: [process.execPath, ENTRY, file], core })
  await child.waitForExit()
  try {
    return JSON.parse(child.standardOutput) as GeneratorResult
  } catch {
    return { ok: false, problems: [`${child.name} gave no result: ${child.logTail}`] }
  }
}
