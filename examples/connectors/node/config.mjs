// What training_config.proto says of its fields: `[lowest, whether that itself is too low, what it must stay below]`.
const BOUNDS = {
  rank: [1],
  alpha: [0, true],
  dropout: [0, false, 1],
  learning_rate: [0, true],
  batch_size: [1],
  gradient_accumulation_steps: [1],
  num_epochs: [0, true],
  max_steps: [0],
  warmup_steps: [0],
  weight_decay: [0],
  max_seq_length: [1],
  validation_split: [0, false, 1],
  checkpoint_steps: [0],
  logging_steps: [1],
};

/** Every field of a TrainingConfig that cannot be used, with what is wrong with it; a field left out is no mistake. */
export function impossible(config) {
  const wrong = {};
  for (const field of ['base_model', 'dataset_path']) if (!config[field]) wrong[`config.${field}`] = 'is missing';
  for (const [field, [lowest, isAbove, below]] of Object.entries(BOUNDS)) {
    const value = config[field];
    if (value === undefined || (value >= lowest && !(isAbove && value === lowest) && !(value >= below))) continue;
    wrong[`config.${field}`] = `must be ${isAbove ? 'above' : 'at least'} ${lowest}${below ? ` and below ${below}` : ''}`;
  }
  return wrong;
}
