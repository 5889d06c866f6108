/** The list of decisions, made from the pages in `adr/`. */
import { readdirSync, readFileSync } from 'node:fs'

const FOLDER = new URL('adr/', import.meta.url)
const TITLE = /^# (\d+)\. (.+)$/
/** `accepted` on a day, and `revised` on a later one; or `superseded` by another page. */
const STATUS =
  /^Status: (accepted, \d{4}-\d{2}-\d{2}(?:; revised, \d{4}-\d{2}-\d{2})?|superseded by \[ADR \d+\]\(\d{4}-[a-z-]+\.md\), \d{4}-\d{2}-\d{2})$/

export function buildDecisions(): string {
  const pages = readdirSync(FOLDER).filter((file) => /^\d{4}-/.test(file))
  return [
    '# Decisions',
    '',
    'Made from the pages by `npm run docs`.',
    '',
    '| | | status |',
    '|---|---|---|',
    ...pages.sort().map(rowOf),
    '',
    'One page each: context, decision, consequences, status. What was decided later in the same matter is a revision in the page;',
    'a decision that no longer holds gets the status *superseded by* and a link to the one that replaced it.',
    '',
  ].join('\n')
}

/** Throws when the head of the page has another form: `# n. Title`, and the status two lines below. */
function rowOf(file: string): string {
  const [head = '', , third = ''] = readFileSync(new URL(file, FOLDER), 'utf8').split('\n')
  const [, number, title] = TITLE.exec(head) ?? []
  const [, status] = STATUS.exec(third) ?? []
  if (number === undefined || Number(number) !== Number(file.slice(0, 4)))
    throw new Error(`docs/adr/${file} begins with '${head}' instead of its number and title`)
  if (status === undefined)
    throw new Error(`docs/adr/${file} has no status of the form ${STATUS}: '${third}'`)
  return `| [${number}](${file}) | ${title} | ${status} |`
}
