/** `wochat call`: any operation of the catalogue, with its parameters as `field=value`. */
import type { Command } from 'commander'
import type { TSchema } from 'typebox'
import { CATALOGUE, findOperation, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import type { Operation } from '../../../protocol/catalogue/operation.ts'
import { WochatError } from '../../../protocol/errors.ts'
import { type CommonOptions, print, printTable, reportFailure, userCommand } from '../command.ts'
import type { Session } from '../session.ts'

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
Examples:
  wochat call groups.members id=g:0a1b limit=20
  wochat call groups.create name=Family members=bob,carol
  wochat call messages.send to=bob body:='{"text":"Hello!"}'`

async function call(session: Session, [name, ...fields]: string[], _options: CommonOptions): Promise<void> {
  const operation = getOperation(name!)
  const params = readFields(operation, fields)
  const result: unknown = await session.call(name as OperationName, params as never)
  await print(JSON.stringify(result, null, process.stdout.isTTY ? 2 : undefined))
}

function getOperation(name: string): Operation {
  const operation = findOperation(name)
  if (operation === undefined) throw new WochatError('unknown_operation', `${name}: see wochat operations`)
  return operation
}

// ---------------------------------------------------------------- fields

/** Parameters from `field=value`, each read as its schema wants it, and `field:=JSON`. Throws `bad_request`. */
export function readFields(operation: Operation, fields: readonly string[]): Record<string, unknown> {
  const params = new Map<string, unknown>()
  for (const field of fields) {
    const [, name, raw, text] = /^([^:=]+)(:?)=(.*)$/s.exec(field) ?? []
    if (name === undefined || text === undefined) {
      throw new WochatError('bad_request', `${field}: give field=value or field:=JSON`)
    }
    params.set(name, raw === ':' ? readJson(name, text) : readText(operation, name, text))
  }
  return Object.fromEntries(params)
}

/** Text as the schema of a parameter wants it. Throws `bad_request`. */
export function readText({ params }: Pick<Operation, 'params'>, name: string, text: string): unknown {
  const { properties } = params
  // A field that is not known goes as it is: the server says so.
  const types = Object.hasOwn(properties, name) ? typesOf(properties[name]!) : ['string']
  if (types.includes('string')) return text
  if (types.includes('null') && text === 'null') return null
  if (types.includes('boolean')) return readBoolean(name, text)
  if (types.includes('integer') || types.includes('number')) return readNumber(name, text)
  if (types.includes('array') && !text.startsWith('[')) return text === '' ? [] : text.split(',')
  return readJson(name, text)
}

/** JSON types that a schema takes, through its alternatives. */
function typesOf(schema: TSchema): string[] {
  const { type, anyOf, const: literal } = schema as { type?: string; anyOf?: TSchema[]; const?: unknown }
  if (anyOf !== undefined) return anyOf.flatMap(typesOf)
  return type === undefined ? [literal === undefined ? 'object' : typeof literal] : [type]
}

function readBoolean(name: string, text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new WochatError('bad_request', `${name}: true or false`)
  return text === 'true'
}

function readNumber(name: string, text: string): number {
  const number = Number(text)
  if (text.trim() === '' || !Number.isFinite(number))
    throw new WochatError('bad_request', `${name}: a number`)
  return number
}

function readJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new WochatError('bad_request', `${name}: not JSON`)
  }
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
