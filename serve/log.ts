/** The log: lines of JSON on standard error. */
import pino, { type Logger } from 'pino'

/** `base`: what is in every line. */
export function createLog(level: string, base: { worker: number } | null = null): Logger {
  return pino({ level, base }, pino.destination({ dest: 2, sync: false }))
}
