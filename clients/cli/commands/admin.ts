/** `wochat admin <operation>`: one command for each operation of the admin port, made from their table. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { TObject, TSchema } from 'typebox'
import type { AdminOperation } from '../../../protocol/admin/operation.ts'
import {
  ADMIN_NAMES,
  ADMIN_OPERATIONS,
  type AdminName,
  type AdminParams,
  type AdminResult,
} from '../../../protocol/admin/operations.ts'
import { print, printJson, reportFailure } from '../command.ts'
import { DEFAULT_ADMIN_URL } from '../session.ts'
import { isBulk, isTime, readRaw, readValue, typesOf } from '../values.ts'
import { AdminClient } from './admin-client.ts'
import { printResult } from './admin-results.ts'
import { formatDrain, formatTraceLine, PRINTERS } from './admin-tables.ts'

const DRAIN_LOOK_EVERY_MS = 500
/** Some nodes did not answer: what is shown or done is not all of it. */
const EXIT_INCOMPLETE = 3

type Options = { url: string; json?: boolean; wait?: boolean }
type CallName = Exclude<AdminName, 'trace'>

export function registerAdmin(program: Command): void {
  const admin = program
    .command('admin')
    .description('operate nodes and look into them, over the admin port')
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 refused, failed or not reached; 3 done, but some nodes did not answer.',
    )
  for (const name of ADMIN_NAMES) registerOperation(admin, name)
}

function registerOperation(admin: Command, name: AdminName): void {
  const operation: AdminOperation = ADMIN_OPERATIONS[name]
  const { summary, positional, params } = operation
  const { properties } = params as TObject
  const required: readonly string[] = (params as { required?: string[] }).required ?? []
  const command = admin.command(toKebab(name)).description(summary)
  for (const key of positional) {
    const usage = required.includes(key) ? `<${key}>` : `[${key}]`
    command.argument(usage, describeValue(properties[key]!))
  }
  if (toKebab(name) !== name) command.alias(name)
  for (const [key, schema] of Object.entries(properties)) {
    if (!positional.includes(key)) addOption(command, key, schema)
  }
  if (name === 'drain') command.option('--wait', 'print the progress until the node is drained')
  command
    .option('--url <url>', 'the admin port of any node', DEFAULT_ADMIN_URL)
    .option('--json', name === 'trace' ? 'print each step as a line of JSON' : 'print JSON, of a failure too')
  command.action((...input: unknown[]) => {
    const { url, json, wait, ...options } = command.opts<Options>()
    const places = positional.map((key, i) => [key, input[i]] as const)
    const given = [...places, ...Object.entries(options)].filter(([, value]) => value !== undefined)
    const shown = { url, ...(json !== undefined && { json }), ...(wait !== undefined && { wait }) }
    return reportFailure(async () => {
      const params = new Map<string, unknown>()
      for (const [key, value] of given)
        params.set(key, await readOption(properties[key]!, key, String(value)))
      await run(name, Object.fromEntries(params), shown)
    }, json)
  })
}

async function run(name: AdminName, params: object, { url, json, wait }: Options): Promise<void> {
  const client = new AdminClient(url)
  // What was typed is checked by the node, which answers by the same table.
  if (name === 'trace') return followTrace(client, params as AdminParams<'trace'>, json === true)
  const result = await client.call(name, params as AdminParams<typeof name>)
  await show(name, result, json === true)
  if (wait === true) await followDrain(client, result as AdminResult<'drain'>, json === true)
}

async function show<Name extends CallName>(
  name: Name,
  result: AdminResult<Name>,
  json: boolean,
): Promise<void> {
  const printer = PRINTERS[name]
  if (json) await printJson(result)
  else await (printer === undefined ? printResult(name, result) : printer(result))
  const { away = [] } = result as { away?: string[] }
  if (away.length === 0) return
  process.stderr.write(`did not answer: ${away.join(', ')}\n`)
  process.exitCode = EXIT_INCOMPLETE
}

async function followTrace(client: AdminClient, params: AdminParams<'trace'>, json: boolean): Promise<void> {
  for await (const line of client.trace(params)) await (json ? printJson(line) : print(formatTraceLine(line)))
}

/** Until the node is drained; one that somebody undrained meanwhile is a failure. */
async function followDrain(client: AdminClient, first: AdminResult<'drain'>, json: boolean): Promise<void> {
  let last = first
  while (last.state !== 'drained') {
    await sleep(DRAIN_LOOK_EVERY_MS)
    const { nodes } = await client.call('drainStatus', { node: first.node })
    const now = nodes[0]!
    if (now.state === 'none') throw new Error(`${first.node} was undrained meanwhile`)
    const isNews = now.state !== last.state || now.connectionsLeft !== last.connectionsLeft
    if (isNews) await (json ? printJson(now) : print(formatDrain(now)))
    last = now
  }
}

// ---------------------------------------------------------------- from schemas to arguments

function addOption(command: Command, key: string, schema: TSchema): void {
  command.option(`--${toKebab(key)} <${kindOf(schema)}>`, describeValue(schema))
}

function kindOf(schema: TSchema): string {
  const types = typesOf(schema)
  if (isTime(schema)) return 'time'
  if (types.includes('integer') || types.includes('number')) return 'number'
  if (types.includes('boolean')) return 'true|false'
  if (isListOfTexts(schema)) return 'list|@file'
  return isBulk(schema) ? 'json|@file' : 'value'
}

/** What the operation says of it, and the ways to type what is no plain text. */
function describeValue(schema: TSchema): string {
  const { description = '' } = schema as { description?: string }
  if (isTime(schema)) return `${description} Or a date: 2026-11-30, 2026-11-30T12:00.`
  if (isListOfTexts(schema))
    return `${description} With commas, or JSON, or @file with it (@- reads standard input).`
  if (isBulk(schema)) return `${description} JSON, or @file with it (@- reads standard input).`
  return description
}

function isListOfTexts(schema: TSchema): boolean {
  const { items } = schema as { items?: TSchema }
  return items !== undefined && typesOf(items).includes('string')
}

/** As a field of a call; a list or an object may come from a file. Throws `bad_request`. */
async function readOption(schema: TSchema, key: string, text: string): Promise<unknown> {
  if (isBulk(schema) && text.startsWith('@')) return readRaw(key, text)
  return readValue(schema, key, text)
}

/** `drainStatus` is typed `drain-status`. */
function toKebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
