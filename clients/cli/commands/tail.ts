/** `wochat tail`: the inbox as it comes. */
import type { Command } from 'commander'
import type { Client, ConnectOptions } from '../../sdk/client.ts'
import { type CommonOptions, formatFailure, print, userCommand } from '../command.ts'
import { createPaint, formatEntry, formatGap } from '../format.ts'
import type { Session } from '../session.ts'

/** Of a login: what comes while nobody looks waits for the next `tail`. */
const SESSION_EXPIRY_SECONDS = 30 * 86_400

export function registerTail(program: Command): void {
  userCommand(program, 'tail', 'print the inbox as it comes, with what was missed since the last tail', tail)
}

async function tail(session: Session, _: string[], options: CommonOptions): Promise<void> {
  // Loaded here: an MQTT client is of no use to the other commands, nor to the server, which starts from the same program.
  const { connect } = await import('../../sdk/client.ts')
  await using client = await connect({
    url: session.mqttUrl,
    uid: session.uid,
    deviceId: session.deviceId,
    token: session.token,
    sessionExpirySeconds: session.loggedIn ? SESSION_EXPIRY_SECONDS : 0,
    on: reportState(),
  })
  const stop = () => void client.close()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  // A reader that left, as in `wochat tail | head`.
  process.stdout.on('error', stop)
  try {
    await printEntries(client, options.json === true)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function printEntries(client: Client, json: boolean): Promise<void> {
  const paint = createPaint(process.stdout)
  for await (const entry of client.entries())
    await print(json ? JSON.stringify(entry) : formatEntry(entry, paint))
}

/** On standard error, so that a pipe has the entries alone. */
function reportState(): NonNullable<ConnectOptions['on']> {
  const paint = createPaint(process.stderr)
  const note = (text: string) => process.stderr.write(`${paint('dim', text)}\n`)
  return {
    sync: (sync) => note(sync.phase === 'start' ? `receiving ${sync.pending} missed entries` : 'live'),
    gap: (gap) => note(formatGap(gap)),
    disconnected: (error) => note(`connecting again after ${formatFailure(error)}`),
  }
}
