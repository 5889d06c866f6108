/** `wochat call`: any operation of the catalogue, with its parameters as `field=value`. */
import type { Command } from 'commander'
import type { TSchema } from 'typebox'
import { CATALOGUE, findOperation, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import type { Operation } from '../../../protocol/catalogue/operation.ts'
import { WochatError } from '../../../protocol/errors.ts'
import { type CommonOptions, print, printTable, reportFailure, userCommand } from '../command.ts'
import type { Session } from '../session.ts'
import { readRaw, readValue, typesOf } from '../values.ts'

export function registerCall(program: Command): void {
  const command = userCommand(
    program,
    'call <operation> [fields...]',
    'call any operation: field=value, or field:=JSON (see: wochat operations)',
    call,
  )
  command.addHelpText('after', EXAMPLES)
  program
    .command('operations [name]')
    .description('the operations, or what one of them takes and gives')
    .action((name?: string) => reportFailure(() => (name === undefined ? listOperations() : describe(name))))
}

const EXAMPLES = `
field=value is read as the operation wants it (wochat operations <name>):
  a text stays as it is, also "null"; name:=null is the null of JSON
  a list is separated by commas, and one value is a list of one
  a time is a date (2026-11-30, 2026-11-30T12:00, 2026-11-30T12:00Z) or ms since 1970
field:=JSON goes as it is; field:=@file.json is read from a file, field:=@- from standard input.

Examples:
  wochat call groups.members id=g:0a1b limit=20
  wochat call groups.create name=Family members=bob,carol
  wochat call messages.schedule to=bob id=m1 text='Good morning!' at=2026-11-30T08:00
  wochat call messages.send to=bob body:='{"text":"Hello!"}'`

async function call(session: Session, [name, ...fields]: string[], _options: CommonOptions): Promise<void> {
  const operation = getOperation(name!)
  const params = await readFields(operation, fields)
  const result: unknown = await session.call(name as OperationName, params as never)
  await print(JSON.stringify(result, null, process.stdout.isTTY ? 2 : undefined))
}

function getOperation(name: string): Operation {
  const operation = findOperation(name)
  if (operation === undefined) throw new WochatError('unknown_operation', `${name}: see wochat operations`)
  return operation
}

// ---------------------------------------------------------------- fields

/**
 * Parameters from `field=value`, each read as its schema wants it, and `field:=JSON`, also of a file. Rejects with
 * `bad_request`.
 */
export async function readFields(
  operation: Operation,
  fields: readonly string[],
): Promise<Record<string, unknown>> {
  const params = new Map<string, unknown>()
  for (const field of fields) {
    const [, name, raw, text] = /^([^:=]+)(:?)=(.*)$/s.exec(field) ?? []
    if (name === undefined || text === undefined) {
      throw new WochatError('bad_request', `${field}: give field=value or field:=JSON`)
    }
    params.set(name, raw === ':' ? await readRaw(name, text) : readText(operation, name, text))
  }
  return Object.fromEntries(params)
}

/** Text as the schema of a parameter wants it. Throws `bad_request`. */
function readText({ params }: Pick<Operation, 'params'>, name: string, text: string): unknown {
  const { properties } = params
  // A field that is not known goes as it is: the server says so.
  return Object.hasOwn(properties, name) ? readValue(properties[name]!, name, text) : text
}

// ---------------------------------------------------------------- what there is

async function listOperations(): Promise<void> {
  const rows = Object.entries<Operation>(CATALOGUE).map(([name, { summary }]) => [name, summary])
  await printTable(['operation', 'what it does'], rows)
}

async function describe(name: string): Promise<void> {
  const { summary, params, result, errors } = getOperation(name)
  await print(`${name}: ${summary}\n`)
  await printFields('parameter', params)
  await print('')
  await printFields('result', result)
  if (errors.length > 0) await print(`\nrefusals of its own: ${errors.join(', ')}`)
}

async function printFields(title: string, schema: TSchema): Promise<void> {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, TSchema>
    required?: string[]
  }
  const rows = Object.entries(properties).map(([name, field]) => [
    required.includes(name) ? name : `${name}?`,
    typeText(field),
    (field as { description?: string }).description ?? '',
  ])
  await (rows.length === 0 ? print(`no ${title}s`) : printTable([title, 'type', ''], rows))
}

function typeText(schema: TSchema): string {
  const { items, enum: values } = schema as { items?: TSchema; enum?: unknown[] }
  if (items !== undefined) return `${typeText(items)}[]`
  if (values !== undefined) return values.join(' | ')
  const { anyOf, const: literal } = schema as { anyOf?: TSchema[]; const?: unknown }
  if (anyOf !== undefined) return anyOf.map(typeText).join(' | ')
  return literal === undefined ? typesOf(schema).join(' | ') : String(literal)
}
