package main

import (
	"encoding/json"
	"fmt"
)

// What training_config.proto says of a field: how low it may be, and what it must stay below (0 = nothing).
type bounds struct {
	lowest  float64
	isAbove bool // whether `lowest` itself is too low
	below   float64
}

var boundsOf = map[string]bounds{
	"rank":                        {lowest: 1},
	"alpha":                       {isAbove: true},
	"dropout":                     {below: 1},
	"learning_rate":               {isAbove: true},
	"batch_size":                  {lowest: 1},
	"gradient_accumulation_steps": {lowest: 1},
	"num_epochs":                  {isAbove: true},
	"max_steps":                   {},
	"warmup_steps":                {},
	"weight_decay":                {},
	"max_seq_length":              {lowest: 1},
	"validation_split":            {below: 1},
	"checkpoint_steps":            {},
	"logging_steps":               {lowest: 1},
}

// Every field of a TrainingConfig in JSON that cannot be used, with what is wrong with it; one left out is no mistake.
func impossible(config []byte) map[string]string {
	var given map[string]any
	wrong := map[string]string{}
	if err := json.Unmarshal(config, &given); err != nil {
		wrong["config"] = "cannot be read"
	}
	for _, field := range []string{"base_model", "dataset_path"} {
		if given[field] == nil {
			wrong["config."+field] = "is missing"
		}
	}
	for field, allowed := range boundsOf {
		if value, isGiven := given[field]; isGiven {
			if problem := allowed.check(value); problem != "" {
				wrong["config."+field] = problem
			}
		}
	}
	return wrong
}

func (b bounds) check(value any) string {
	number, isNumber := value.(float64) // JSON has NaN and the infinities as texts
	isTooLow := number < b.lowest || (b.isAbove && number == b.lowest)
	if isNumber && !isTooLow && (b.below == 0 || number < b.below) {
		return ""
	}
	words := "must be at least"
	if b.isAbove {
		words = "must be above"
	}
	if b.below != 0 {
		return fmt.Sprintf("%s %g and below %g", words, b.lowest, b.below)
	}
	return fmt.Sprintf("%s %g", words, b.lowest)
}
