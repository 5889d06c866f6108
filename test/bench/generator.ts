import path from 'node:path'
import type { Mode, Options } from '../../clients/load/options.ts'
import { Child } from './child.ts'

export type GeneratorOptions = Partial<Omit<Options, 'mode' | 'help'>>

/** What the bench reads of a generator's result; the whole of it goes into the report. */
export interface GeneratorResult {
  ok: boolean
  problems: string[]
  [figure: string]: unknown
}

export type Generate = (mode: Mode, options: GeneratorOptions) => Promise<GeneratorResult>

const ENTRY = path.join(import.meta.dirname, '../../clients/load/load.ts')

/** Runs the project's load generator as a process of its own, pinned to `core`. */
export function ownGenerator(core: number | undefined): Generate {
  return async (mode, options) => {
    const command = [process.execPath, ENTRY, mode, ...generatorArguments(options), '--quiet']
    await using child = new Child({ name: `load ${mode}`, command, core })
    await child.waitForExit()
    return parseResult(child)
  }
}

function generatorArguments(options: GeneratorOptions): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    if (typeof value === 'boolean') return value ? [flag] : []
    return value === '' ? [] : [flag, String(value)]
  })
}

function parseResult(child: Child): GeneratorResult {
  try {
    return JSON.parse(child.standardOutput) as GeneratorResult
  } catch {
    return { ok: false, problems: [`${child.name} gave no result: ${child.logTail}`] }
  }
}
