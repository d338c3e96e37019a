// The shapes of the API's JSON and of the page's own state; types alone, nothing runs.

/**
 * @typedef {{logit: number, lowest: number, highest: number, from_padding: number,
 *   region_threshold: number}} MapOut
 * @typedef {{name: string, probability: number, threshold: number|null, called: boolean,
 *   map: number, sign: 1|-1, own: MapOut, contrast: MapOut}} ClassOut
 * @typedef {{height: number, width: number, x: number[], y: number[],
 *   columns: [number, number][], rows: [number, number][]}} GridOut
 * @typedef {{black: number, white: number, unit: string, center: number|null,
 *   width: number|null, function: string|null}} ScaleOut
 * @typedef {{width: number, height: number, bits: 8|16, pixel_aspect: number, sha256: string,
 *   frame: number|null, encoding: "grey8"|"rgb8"|"grey16"|null, scale: ScaleOut|null,
 *   png: string|null}} ImageOut
 * @typedef {{name: string, version: string, digest: string,
 *   task: "binary"|"multiclass"|"ordinal"|"multilabel", classes: string[],
 *   positive: string|null, thresholds: Record<string, number>,
 *   input_size: [number, number], architecture: string|null}} ModelOut
 * @typedef {{maps: number, height: number, width: number, data: string}} EvidenceOut
 * @typedef {{model: ModelOut, image: ImageOut, predicted: string[], classes: ClassOut[],
 *   completeness_error: number, grid: GridOut, evidence: EvidenceOut}} PredictionOut
 * @typedef {{id: string, name: string, bytes: number}} ImageEntry
 * @typedef {{finding: string, outline: [number, number][][]}} FindingOut
 * @typedef {"accepted"|"corrected"|"undecided"} Verdict
 * @typedef {{verdict: Verdict, correct: string[], comment: string, reader: string,
 *   label: string}} Reading
 * @typedef {Reading & {id: string, revision: number, created: string, updated: string,
 *   sha256: string, frame: number|null, width: number, height: number, folder_id: string,
 *   model: string, model_digest: string, model_version: string, called: string[],
 *   probabilities: Record<string, number>, has_image: boolean}} CaseOut
 */

/**
 * @typedef {"own"|"contrast"} Kind
 * @typedef {"both"|"for"|"against"} Sign
 * @typedef {{cells: number, contribution: number, share: number|null, peak: number,
 *   centre: [number, number]|null, outline: [number, number][][]}} Region
 * @typedef {{kind: "file", file: Blob, name: string}
 *   |{kind: "folder", id: string, name: string}} Source
 */

export {};
