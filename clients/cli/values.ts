/** Values as a person types them, read as the schema of their parameter wants them. */
import { readFile } from 'node:fs/promises'
import { text as readStream } from 'node:stream/consumers'
import type { TSchema } from 'typebox'
import { WochatError } from '../../protocol/errors.ts'

/** The parts of a schema that say how a text is read. */
type Shape = {
  type?: string
  anyOf?: TSchema[]
  enum?: unknown[]
  const?: unknown
  items?: TSchema
  description?: string
}

/**
 * Text as a schema wants it: a text stays what it is, also "null"; one of several words must be one of them; a list
 * is separated by commas, or JSON; a time is a date, or ms since 1970. Throws `bad_request` that names the parameter.
 */
export function readValue(schema: TSchema, name: string, text: string): unknown {
  const shapes = shapesOf(schema)
  const words = shapes.flatMap(wordsOf)
  const word = words.find((known) => String(known) === text)
  if (word !== undefined) return word
  const types = shapes.filter((shape) => wordsOf(shape).length === 0).map(({ type }) => type)
  if (types.includes('string')) return text
  if (types.includes('null') && text === 'null') return null
  if (types.includes('boolean')) return readBoolean(name, text)
  if (types.includes('integer') || types.includes('number')) return readNumber(schema, name, text)
  const list = shapes.find(({ type }) => type === 'array')
  if (list !== undefined) return readList(list.items!, name, text)
  if (words.length > 0) throw new WochatError('bad_request', `${name}: one of ${words.join(', ')}`)
  return readJson(name, text)
}

/** What `field:=value` gives: JSON, or the JSON of a file as `@file`, of standard input as `@-`. */
export async function readRaw(name: string, text: string): Promise<unknown> {
  return text.startsWith('@') ? readJsonFile(name, text.slice(1)) : readJson(name, text)
}

async function readJsonFile(name: string, path: string): Promise<unknown> {
  const place = path === '-' ? 'standard input' : path
  let content: string
  try {
    content = await (path === '-' ? readStream(process.stdin) : readFile(path, 'utf8'))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file' : message
    throw new WochatError('bad_request', `${name}: ${place} cannot be read: ${reason}`)
  }
  try {
    return JSON.parse(content)
  } catch (error) {
    throw new WochatError('bad_request', `${name}: ${place} is not JSON: ${(error as Error).message}`)
  }
}

/** The schema itself, or its alternatives. */
function shapesOf(schema: TSchema): Shape[] {
  const shape = schema as Shape
  return shape.anyOf === undefined ? [shape] : shape.anyOf.flatMap(shapesOf)
}

function wordsOf(shape: Shape): unknown[] {
  return shape.const === undefined ? (shape.enum ?? []) : [shape.const]
}

/** JSON types that a schema takes, through its alternatives; an object where it names none. */
export function typesOf(schema: TSchema): string[] {
  return shapesOf(schema).map((shape) => {
    const [word] = wordsOf(shape)
    return shape.type ?? (word === undefined ? 'object' : typeof word)
  })
}

/** Lists and objects: what is too long to be typed, and may come from a file. */
export function isBulk(schema: TSchema): boolean {
  return typesOf(schema).some((type) => type === 'array' || type === 'object')
}

/** A time is a number whose description says so. */
export function isTime(schema: TSchema): boolean {
  const isSaid = ({ description = '' }: Shape) => description.includes('ms since 1970')
  const isNumber = typesOf(schema).includes('integer')
  return isNumber && (isSaid(schema as Shape) || shapesOf(schema).some(isSaid))
}

/** One value is a list of one. */
function readList(items: TSchema, name: string, text: string): unknown {
  if (text.startsWith('[')) return readJson(name, text)
  if (text === '') return []
  // The commas of an object are its own.
  if (typesOf(items).includes('object')) return [readJson(name, text)]
  return text.split(',').map((item) => readValue(items, name, item))
}

function readBoolean(name: string, text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new WochatError('bad_request', `${name}: true or false`)
  return text === 'true'
}

function readNumber(schema: TSchema, name: string, text: string): number {
  if (isTime(schema) && /^\d{4}-/.test(text)) return parseTime(name, text)
  const number = Number(text)
  if (text.trim() === '' || !Number.isFinite(number)) {
    const wanted = isTime(schema) ? 'a date such as 2026-11-30T12:00, or ms since 1970' : 'a number'
    throw new WochatError('bad_request', `${name}: ${wanted}`)
  }
  return number
}

function readJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new WochatError('bad_request', `${name}: not JSON`)
  }
}

export function parseCount(option: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new WochatError('bad_request', `${option}: ${text} is not a number`)
  return Number(text)
}

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/

/** `2026-11-22` or `2026-11-22T07:01`: local time where it names no zone; ms since 1970. */
export function parseTime(option: string, text: string): number {
  const [, date = '', time = '00:00', zone = ''] = TIME.exec(text) ?? []
  const at = new Date(`${date}T${time}${zone}`).getTime()
  const [year, month, day] = date.split('-').map(Number)
  // A 31st of February would be one of March.
  const isInMonth = new Date(Date.UTC(year!, month! - 1, day)).getUTCDate() === day
  if (!(at >= 0 && isInMonth)) throw new WochatError('bad_request', `${option}: ${text} is not a time`)
  return at
}
