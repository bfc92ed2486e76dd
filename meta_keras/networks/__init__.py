"""Base networks: ordinary functional Keras models from images to logits or embeddings."""

from meta_keras.networks.backbone import load_backbone
from meta_keras.networks.convolutional import PHOTOGRAPHS, conv4, conv4_embedding, normalized
from meta_keras.networks.dense import dense_network
from meta_keras.networks.relation import relation_module
from meta_keras.networks.resnet12 import resnet12
from meta_keras.networks.trajectory import trajectory_network

__all__ = [
    "PHOTOGRAPHS",
    "conv4",
    "conv4_embedding",
    "dense_network",
    "load_backbone",
    "normalized",
    "relation_module",
    "resnet12",
    "trajectory_network",
]
