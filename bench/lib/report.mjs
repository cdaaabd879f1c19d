// One topic: its heading, its tables, its "must reach" verdicts, and the same as JSON in results/<topic>.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { here, runningPids } from './child.mjs';
import { describe, machine, shareOfOthers, watchOthers } from './machine.mjs';
import { quick } from './options.mjs';
import { formatTable } from './table.mjs';

class Report {
  constructor(name, machine) {
    this.name = name;
    this.tables = [];
    this.notes = [];
    this.verdicts = [];
    this.machine = machine;
    this.others = watchOthers();
    /** A folder for lock files, gone at the end. */
    this.dir = mkdtempSync(join(tmpdir(), 'forklock-bench-'));
  }

  /** Columns are names; rows are lists: a name, then numbers or words. `raw` goes into the JSON only. */
  table(title, columns, rows, raw) {
    this.tables.push({ title, columns, rows, raw });
    console.log(`\n${title}\n${formatTable(columns, rows)}`);
  }

  note(text) {
    this.notes.push(text);
    console.log(`  ${text}`);
  }

  /** One line of the "must reach" table: measured by this run, or null with the reason why not. */
  must(what, relation, limit, measured, unit = '') {
    const known = typeof measured === 'number' && !Number.isNaN(measured);
    const reached = relation === '>=' ? measured >= limit : relation === '<=' ? measured <= limit : measured < limit;
    // A smoke run measures nothing, so it can't judge either.
    const verdict = !known ? 'not measured' : quick ? 'smoke' : reached ? 'PASS' : 'MISS';
    this.verdicts.push({
      what,
      relation,
      limit,
      unit,
      measured: known ? measured : null,
      why: known ? '' : measured,
      verdict,
    });
  }

  finish() {
    this.machine.othersMeanwhile = this.others(runningPids());
    console.log(`\nmeanwhile ${shareOfOthers(this.machine.othersMeanwhile)}`);
    if (this.verdicts.length) {
      const rows = this.verdicts.map(({ what, relation, limit, unit, measured, why, verdict }) => [
        `${verdict}  ${what}`,
        measured ?? why ?? '',
        `${relation} ${limit}${unit && ` ${unit}`}`,
      ]);
      console.log(`\n${formatTable(['must reach', 'measured', 'limit'], rows)}`);
      if (quick) console.log('  --quick: a smoke run; these numbers mean nothing.');
    }
    const { name, machine, tables, notes, verdicts } = this;
    mkdirSync(here('results'), { recursive: true });
    const json = JSON.stringify({ topic: name, quick, machine, tables, notes, verdicts }, null, 2);
    writeFileSync(here(`results/${name}.json`), `${json}\n`);
  }
}

/** Runs a topic; a failure in it (a wrong count, a child that died) is an error of the run, a MISS is not. */
export async function topic(name, title, body) {
  const report = new Report(name, await machine());
  console.log(`\n== ${name}: ${title}\n${describe(report.machine)}`);
  try {
    await body(report);
    report.finish();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    rmSync(report.dir, { recursive: true, force: true });
  }
  // Some peers leave a handle behind, and the children are killed on exit.
  process.exit();
}
