/** Lines of text in columns; the first column is aligned to the left, numbers and the rest to the right. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('   ');
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n');
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
