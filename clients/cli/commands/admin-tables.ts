/** Answers to the operator that have a form of their own on a terminal. */
import type { AdminName, AdminResult } from '../../../protocol/admin/operations.ts'
import type { TraceEvent, TraceLine } from '../../../protocol/admin/rows.ts'
import { print, printTable } from '../command.ts'
import { createPaint, escapeText, formatSpan, formatTime } from '../format.ts'
import { printResult } from './admin-results.ts'

type Printers = { [Name in Exclude<AdminName, 'trace'>]?: (result: AdminResult<Name>) => Promise<void> }

export const PRINTERS: Printers = {
  async nodes({ nodes, warnings }) {
    const header = [
      'node',
      'version',
      'roles',
      'state',
      'up',
      'connections',
      'sends/s',
      'deliveries/s',
      'loop',
      'memory',
    ]
    const rows = nodes.map((node) => [
      node.isSelf ? `${node.id} *` : node.id,
      node.version,
      node.roles.join(','),
      node.state,
      formatSpan(node.uptimeMs),
      `${node.connections}/${node.connectionsMax}`,
      node.sendsPerSecond,
      node.deliveriesPerSecond,
      `${Math.round(node.eventLoopDelayMs)} ms`,
      formatBytes(node.memoryBytes),
    ])
    await printTable(header, rows)
    for (const warning of warnings) await print(`warning: ${escapeText(warning)}`)
  },

  async sessions({ uid, devices }) {
    if (devices.length === 0) return print(`${uid} has no devices`)
    const header = [
      'device',
      'node',
      'since',
      'address',
      'protocol',
      'inbox',
      'inflight',
      'behind',
      'waiting',
      'expires',
    ]
    const rows = devices.map(({ device, connection, session }) => {
      const waiting = session?.pending ?? '-'
      if (connection === null) {
        if (session === null) return [device, 'no session']
        const expires = session.expiresAt === null ? '-' : formatTime(session.expiresAt)
        return [device, ...Array<string>(7).fill('-'), waiting, expires]
      }
      const { node, since, address, transport, protocol, inbox, inflight, logsBehind } = connection
      return [
        device,
        node,
        formatTime(since),
        address,
        `${protocol} ${transport}`,
        inbox,
        inflight,
        logsBehind,
        waiting,
        '-',
      ]
    })
    await printTable(header, rows)
  },

  async kick({ closed }) {
    if (closed.length === 0) return print('no connection was open')
    for (const { device, node } of closed) await print(`closed: ${device} on ${node}`)
  },

  async revoke() {
    await print('revoked')
  },

  async addWebhook(result) {
    await printResult('addWebhook', result)
    await print('The secret is shown this once: keep it.')
  },

  async addApiKey(result) {
    await printResult('addApiKey', result)
    await print('The key is shown this once: keep it.')
  },

  drain: printDrain,
  undrain: printDrain,

  async drainStatus({ nodes }) {
    const rows = nodes.map(({ node, state, startedAt, connectionsAtStart, connectionsLeft }) => [
      node,
      state,
      startedAt === null ? '-' : formatTime(startedAt),
      startedAt === null ? '-' : connectionsAtStart,
      connectionsLeft,
    ])
    await printTable(['node', 'drain', 'since', 'at start', 'connections'], rows)
  },

  async rebalance({ average, shed }) {
    if (shed.length === 0) return print(`nothing to do: the average is ${Math.round(average)} connections`)
    await printTable(
      ['node', 'connections', 'sends elsewhere'],
      shed.map(({ node, connections, surplus }) => [node, connections, surplus]),
    )
  },

  async queues({ nodes, streams }) {
    await printTable(
      ['node', 'sends waiting', 'inboxes behind', 'inflight', 'write buffers'],
      nodes.map(({ node, sendsWaiting, inboxesBehind, inflight, writeBufferBytes }) => [
        node,
        sendsWaiting,
        inboxesBehind,
        inflight,
        formatBytes(writeBufferBytes),
      ]),
    )
    if (streams === null || streams.length === 0) return
    await print('')
    await printTable(
      ['stream', 'jobs', 'taken'],
      streams.map(({ stream, length, pending }) => [stream, length, pending]),
    )
  },

  async slow({ connections }) {
    if (connections.length === 0) return print('none')
    await printTable(
      ['device', 'node', 'logs behind', 'entries behind', 'inflight', 'unacknowledged for', 'write buffer'],
      connections.map((row) => [
        `${row.uid}/${row.device}`,
        row.node,
        row.logsBehind,
        row.entriesBehind,
        row.inflight,
        formatSpan(row.unackedMs),
        formatBytes(row.writeBufferBytes),
      ]),
    )
  },

  async message({ entry, readers, cursor }) {
    const author = entry.device === null ? entry.from : `${entry.from}/${entry.device}`
    const id = entry.id === null ? '' : ` id ${entry.id}`
    const what = entry.kind === 'message' ? entry.type : `${entry.kind} ${entry.type}`
    await print(escapeText(`${entry.log} ${entry.seq} of ${entry.head}: ${what} by ${author}${id}`))
    await print(`stored ${formatTime(entry.at)}`)
    await print('')
    await printTable(
      ['device', 'cursor', 'acknowledged'],
      readers.map(({ uid, device, cursor: at, isAcknowledged }) => [
        device === null ? `${uid} (no session)` : `${uid}/${device}`,
        at ?? '-',
        isAcknowledged ? 'yes' : 'no',
      ]),
    )
    if (cursor !== undefined) await print(`more: --cursor ${escapeText(cursor)}`)
  },
}

async function printDrain(row: AdminResult<'drain'>): Promise<void> {
  await print(formatDrain(row))
}

export function formatDrain({
  node,
  state,
  connectionsAtStart,
  connectionsLeft,
}: AdminResult<'drain'>): string {
  if (state === 'none') return `${node}: takes connections, ${connectionsLeft} open`
  if (state === 'announced') return `${node}: announced, /readyz is red; ${connectionsLeft} open`
  if (state === 'drained') return `${node}: drained`
  return `${node}: closing, ${connectionsLeft} of ${connectionsAtStart} left`
}

export function formatTraceLine(line: TraceLine): string {
  const paint = createPaint(process.stdout)
  if (line.kind === 'started') {
    const away = line.away.length === 0 ? '' : `; did not answer: ${line.away.join(', ')}`
    return paint('dim', `tracing on ${line.nodes.join(', ')}${away}`)
  }
  if (line.kind === 'dropped')
    return paint('yellow', `${line.node}: ${line.events} steps more than are shown`)
  if (line.kind === 'ended') return paint('dim', `ended, ${line.events} steps`)
  return formatStep(line)
}

function formatStep({ step, at, node, log, seq, uid, device, id }: TraceEvent): string {
  const time = `${formatTime(at)}.${String(at % 1000).padStart(3, '0')}`
  const who = device === null ? uid : `${uid}/${device}`
  const place = seq === null ? log : `${log} ${seq}`
  return escapeText(`${time}  ${step.padEnd(12)}  ${place}  ${who}${id === null ? '' : `  ${id}`}  ${node}`)
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 ** 2 ? `${Math.round(bytes / 1024)} KB` : `${Math.round(bytes / 1024 ** 2)} MB`
}
