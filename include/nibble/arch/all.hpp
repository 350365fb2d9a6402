// The list of architectures: one line each. To add one, write its header and include it here.
// The model stage finds them through model/architecture.hpp.
#pragma once

#include "nibble/arch/gemma2.hpp"
#include "nibble/arch/gemma3.hpp"
#include "nibble/arch/gpt_oss.hpp"
#include "nibble/arch/granite.hpp"
#include "nibble/arch/llama.hpp"
#include "nibble/arch/mixtral.hpp"
#include "nibble/arch/phi3.hpp"
#include "nibble/arch/qwen2.hpp"
#include "nibble/arch/qwen3.hpp"
#include "nibble/arch/qwen3moe.hpp"
#include "nibble/arch/smollm3.hpp"
