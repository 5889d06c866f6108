/** What messages pass on their way in, and what screens them: the same in every process that takes messages. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import {
  createIntake,
  type MessageIntake,
  type MessageTracing,
  type TransientSender,
} from '../services/messages/ports.ts'
import type { BeforeSendSettings } from '../services/moderation/before-send-hook.ts'
import { createModeration, type Moderation } from '../services/moderation/moderation.ts'

export type Intake = {
  intake: MessageIntake
  moderation: Moderation
}

type IntakeParts = {
  config: Config
  /** Left out where no device is connected. */
  transient?: TransientSender
  tracing: MessageTracing
  log: Logger
}

export function buildIntake({ config, log, ...ports }: IntakeParts): Intake {
  const intake = createIntake(ports)
  return { intake, moderation: createModeration(beforeSend(config), intake, log) }
}

function beforeSend({
  beforeSendUrl: url,
  beforeSendSecret: secret,
  beforeSendTimeoutMs: timeoutMs,
  beforeSendOnFailure: onFailure,
}: Config): BeforeSendSettings | null {
  return url === null ? null : { url, secret: secret?.reveal() ?? null, timeoutMs, onFailure }
}
