/** What is said of a command that is none: the one that was meant, if one is close. */
import type { Command } from 'commander'

/** For a program and those of its commands that have commands of their own. */
export function suggestCommands(command: Command): void {
  const { commands } = command
  if (commands.length === 0) return
  command.on('command:*', ([typed]: [string]) => {
    const names = commands.flatMap((known) => [known.name(), ...known.aliases()])
    const meant = findClose(typed, names)
    const hint = meant === undefined ? `see ${pathOf(command)} --help` : `did you mean ${meant}?`
    command.error(`error: unknown command '${typed}'; ${hint}`)
  })
  for (const inner of commands) suggestCommands(inner)
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

/** The nearest name with one slip for every three letters, as `mesages` for `messages`. */
export function findClose(typed: string, names: readonly string[]): string | undefined {
  const slipsMax = Math.max(1, Math.floor(typed.length / 3))
  const near = names
    .map((name) => ({ name, slips: countSlips(typed, name) }))
    .filter(({ slips }) => slips <= slipsMax)
  return near.sort((a, b) => a.slips - b.slips)[0]?.name
}

/** Letters that are missing, too many, wrong, or changed places with their neighbour. */
function countSlips(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const above = rows[i - 1]!
      const isSame = from[i - 1] === to[j - 1]
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      row.push(
        Math.min(
          above[j]! + 1,
          row[j - 1]! + 1,
          above[j - 1]! + (isSame ? 0 : 1),
          isSwapped ? rows[i - 2]![j - 2]! + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    rows.push(row)
  }
  return rows[from.length]![to.length]!
}
